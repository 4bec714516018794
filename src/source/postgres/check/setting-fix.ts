// How a server's setting is changed: by SQL, and where the server is a provider's, which takes no such SQL, by its own way.

import type { Provider } from "../facts/server.ts";

/** Providers by the role that each of them has in all of its servers. */
const PROVIDERS = {
  rdsadmin: {
    set: (setting: string) => `In the parameter group of RDS or Aurora: ${setting}.`,
    own: { wal_level: "rds.logical_replication = 1 (then reboot)" },
  },
  cloudsqlsuperuser: {
    set: (setting: string) => `As a database flag of Cloud SQL: ${setting}.`,
    own: { wal_level: "cloudsql.logical_decoding = on (it restarts)" },
  },
  supabase_admin: {
    set: (setting: string) =>
      `By Supabase's command: supabase postgres-config update --config ${setting.replaceAll(" = ", "=")}`,
    own: {},
  },
  neon_superuser: {
    set: (setting: string) => `In Neon's console, or by its support: ${setting}.`,
    own: { wal_level: "logical replication = on, in the project's settings" },
  },
} as const satisfies Record<
  Provider,
  { readonly set: (setting: string) => string; readonly own: Readonly<Record<string, string>> }
>;

export interface Setting {
  readonly name: string;
  /** As a parameter group takes it. */
  readonly value: string | number;
  /** For the reader. */
  readonly note?: string;
  readonly restart?: boolean;
}

/** What changes it, one statement a line where SQL does. */
export function settingFix(provider: Provider | null, { name, value, note, restart = false }: Setting): string {
  if (provider !== null) {
    const { set, own } = PROVIDERS[provider];
    return set((own as Readonly<Record<string, string>>)[name] ?? `${name} = ${value}`);
  }
  const literal = typeof value === "number" ? value : `'${value.replaceAll("'", "''")}'`;
  const comments = [...(restart ? ["then restart the server"] : []), ...(note === undefined ? [] : [note])];
  const statement = `ALTER SYSTEM SET ${name} = ${literal};${comments.length > 0 ? ` -- ${comments.join("; ")}` : ""}`;
  return restart ? statement : `${statement}\nSELECT pg_catalog.pg_reload_conf();`;
}
