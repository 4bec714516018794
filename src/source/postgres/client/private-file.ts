// Reads files that a connection needs; one that holds a secret must not be open to others.

import { readFile, stat } from "node:fs/promises";
import { ConfigError } from "../../../errors.ts";

/** @param parameter who names it, for the message @throws ConfigError TLS_FILE_UNUSABLE */
export function readText(path: string, parameter: string): Promise<string> {
  return readFile(path, "utf8").catch((cause: Error) => {
    throw new ConfigError("TLS_FILE_UNUSABLE", `${parameter}: ${cause.message}`, {
      hint: `Give ${parameter} the path of a PEM file that this process may read.`,
      cause,
    });
  });
}

/** Undefined where there is no such file. */
export async function existing(path: string): Promise<string | undefined> {
  return stat(path).then(
    (found) => (found.isFile() ? path : undefined),
    () => undefined,
  );
}

/** Whether others than its owner may read it; of root's files their group may. libpq's rule. */
export async function isOpenToOthers(path: string): Promise<boolean> {
  if (process.platform === "win32") return false;
  const { mode, uid } = await stat(path);
  return (mode & (uid === 0 ? 0o037 : 0o077)) !== 0;
}
