// Where programs are found, and where those that are installed for a user are kept.

import { accessSync, constants } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** The user's cache of programs. */
export function cacheDir(): string {
  const root = process.env.XDG_CACHE_HOME;
  return join(root === undefined || root === "" ? join(homedir(), ".cache") : root, "millrace");
}

/** Whether a file can be run. */
export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** All programs of a name in `PATH`, in its order. */
export function programsInPath(name: string): readonly string[] {
  const dirs = (process.env.PATH ?? "").split(delimiter).filter((dir) => dir !== "");
  return dirs.map((dir) => join(dir, name)).filter(isExecutable);
}
