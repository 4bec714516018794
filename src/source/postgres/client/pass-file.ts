// Finds a password where libpq does: in the url, in PGPASSWORD, in a password file.

import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../../../errors.ts";
import { rememberSecret } from "../../../telemetry/redact.ts";
import type { ConnectionPlace, Host } from "./connection-url.ts";
import { existing, isOpenToOthers } from "./private-file.ts";

/** Called once the server asks for it. @throws ConfigError AUTH_FAILED where there is none */
export async function findPassword(place: ConnectionPlace, { host, port }: Host): Promise<string> {
  const { parameters, user, database } = place;
  if (parameters.password !== undefined) return remembered(parameters.password);
  const file = await existing(parameters.passfile ?? join(homedir(), ".pgpass"));
  const open = file !== undefined && (await isOpenToOthers(file));
  if (file !== undefined && !open) {
    const wanted = [host === "" || host.startsWith("/") ? "localhost" : host, String(port), database, user];
    for (const line of (await readFile(file, "utf8")).split(/\r?\n/)) {
      const [password, fields] = split(line);
      if (
        password !== undefined &&
        wanted.every((text, nth) => fields[nth] === "*" || unescaped(fields[nth]) === text)
      ) {
        return remembered(unescaped(password));
      }
    }
  }
  const ignored = open ? `; ${file} is not read, for others can read it too` : "";
  throw new ConfigError("AUTH_FAILED", `the server asks for the password of ${user}, and none is given${ignored}`, {
    hint: open
      ? `chmod 600 ${file}`
      : "Put it into the url (postgres://user:password@host/database, what is no letter or digit percent-encoded), into PGPASSWORD, or into a password file (PGPASSFILE, else ~/.pgpass).",
  });
}

/** `host:port:database:user:password`, with a backslash before each `:` and backslash inside of a field. */
function split(line: string): readonly [string | undefined, readonly string[]] {
  if (line.startsWith("#")) return [undefined, []];
  const fields = line.match(/(?:\\.|[^:\\])*(?::|$)/g)?.map((field) => field.replace(/:$/, "")) ?? [];
  return [fields[4], fields.slice(0, 4)];
}

function unescaped(text = ""): string {
  return text.replace(/\\(.)/g, "$1");
}

function remembered(password: string): string {
  rememberSecret(password);
  return password;
}
