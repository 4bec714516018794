// Where root keeps what an unprivileged user must reach: a checkout or a home may be closed to all others.

import { chmodSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { ConfigError } from "../errors.ts";

const SHARED_DIR = "/var/tmp/millrace";

/**
 * The directory, made by root and writable for nobody else: programs are run from it.
 * @throws ConfigError when somebody else made it
 */
export function sharedDir(): string {
  mkdirSync(SHARED_DIR, { recursive: true, mode: 0o755 });
  const { uid, mode } = statSync(SHARED_DIR);
  if (uid !== 0 || (mode & 0o022) !== 0) {
    throw new ConfigError("DEV_DIRECTORY_UNSAFE", `${SHARED_DIR} belongs to somebody else`, {
      hint: `remove ${SHARED_DIR}, or do not run this as root`,
    });
  }
  chmodSync(SHARED_DIR, 0o755); // whatever the umask left of it
  return SHARED_DIR;
}

/** Whether any user may enter every directory above, and the thing itself. */
export function openToOthers(path: string): boolean {
  const parent = dirname(path);
  return (statSync(path).mode & 0o001) !== 0 && (parent === path || openToOthers(parent));
}
