// The migrations as a person runs them: in one transaction, and as often as wanted.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const BREAKPOINT = /^--> statement-breakpoint\n/gm;

/** Everything that makes the outbox, or the inbox, on an empty database or on one that has some of it. */
export function migrationSql(what: "outbox" | "inbox"): string {
  const directory = migrationsDirectory(dirname(fileURLToPath(import.meta.url)));
  const files = readdirSync(directory).filter((name) => name.endsWith(`_${what}.sql`));
  const statements = files.sort().map((name) => readFileSync(join(directory, name), "utf8").replace(BREAKPOINT, ""));
  return `BEGIN;\n${statements.join("\n")}COMMIT;`;
}

/** At the package's root: above `dist` as well as above this file. */
function migrationsDirectory(from: string): string {
  const parent = dirname(from);
  const candidate = join(parent, "migrations");
  return readdirSync(parent).includes("migrations") ? candidate : migrationsDirectory(parent);
}
