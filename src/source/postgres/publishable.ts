// Which tables of a running source may be published: none whose events could not be told apart, and above all none whose
// writes Postgres would then refuse to the application.

import { ConfigError, type MillraceError } from "../../errors.ts";
import { reselectFindings } from "./check/check-reselect.ts";
import { ruledTables } from "./check/check-rules.ts";
import { withoutIdentity } from "./check/match-tables.ts";
import { refuse } from "./check/refuse.ts";
import { type Refusal, refusalOf } from "./check/refused-writes.ts";
import type { Session } from "./client/session.ts";
import { type CatalogTable, identityOf } from "./facts/catalog-tables.ts";
import { insertsOnly, type Published } from "./facts/publication.ts";
import { readReselect } from "./facts/reselect.ts";
import type { TableFacts } from "./facts/tables.ts";
import type { PostgresConfig } from "./options/config.ts";
import type { RuleBook } from "./options/rule-book.ts";
import { checkKey } from "./options/table-rules.ts";

export interface PublishableOptions {
  readonly session: Session;
  readonly config: PostgresConfig;
  readonly rules: RuleBook;
  readonly publication: string;
  /** The server's version, as `server_version_num`. */
  readonly version: number;
}

export interface Publishable {
  readonly wanted: readonly TableFacts[];
  /** Those that our publication has, and by that breaks the application's writes. */
  readonly breaking: readonly TableFacts[];
  readonly refusals: readonly MillraceError[];
}

/** @param published as it is now @param tables the configured ones */
export async function publishableTables(
  options: PublishableOptions,
  published: Published,
  tables: readonly TableFacts[],
): Promise<Publishable> {
  const refusals: MillraceError[] = [];
  const refused = new Set<string>();
  const anonymous = insertsOnly(published.ops) && !published.ours ? [] : tables.filter(({ identified }) => !identified);
  if (anonymous.length > 0) refusals.push(withoutIdentity(anonymous));
  const breaking = tables.filter((table) => {
    const refusal = refusalBy(options, published, table.written);
    if (refusal !== undefined && !anonymous.includes(table)) refusals.push(writesRefused(options, table, refusal));
    return refusal !== undefined && published.ours;
  });
  for (const { oid } of [...anonymous, ...breaking]) refused.add(oid);
  for (const [oid, error] of await refusedByOptions(options, tables)) {
    refusals.push(error);
    if (oid !== undefined) refused.add(oid);
  }
  return { wanted: tables.filter(({ oid }) => !refused.has(oid)), breaking, refusals };
}

/** Why the publication that is read has Postgres refuse writes; what ours lacks of options, it gets. */
function refusalBy(
  { publication, version }: PublishableOptions,
  { ours }: Published,
  written: readonly CatalogTable[],
): Refusal | undefined {
  for (const one of written) {
    const by = [...one.publishing, ...(ours ? one.inserting : [])].find((entry) => entry.publication === publication);
    const refusal = by && refusalOf(one, ours ? { ...by, generated: true } : by, identityOf(one), version);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** With the oid of the table where it cannot be published for that. */
async function refusedByOptions(
  { session, config, rules }: PublishableOptions,
  tables: readonly TableFacts[],
): Promise<readonly (readonly [oid: string | undefined, error: ConfigError])[]> {
  const found: [string | undefined, ConfigError][] = [];
  const judge = (oid: string, check: () => void): void => {
    try {
      check();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      found.push([oid, error]);
    }
  };
  for (const { oid, schema, name, key, columns } of ruledTables(
    config.tables,
    tables.map(({ own }) => own),
    rules.hiding,
  )) {
    const own = rules.of(schema, name);
    if (own === undefined) continue;
    const named = { oid: Number(oid), namespace: schema, name };
    rules.learn(named, columns);
    const unnamed = rules.unnamed(named, columns);
    if (unnamed.length > 0) found.push([undefined, hiddenByNumber(`${schema}.${name}`, unnamed)]);
    judge(oid, () => checkKey(schema, name, key, own));
  }
  for (const table of await readReselect(session, rules.of, tables)) {
    judge(table.oid, () => refuse(reselectFindings(table)));
  }
  return found;
}

/** What was renamed stays hidden as long as this process lives. */
function hiddenByNumber(table: string, columns: readonly string[]): ConfigError {
  return new ConfigError(
    "TABLE_COLUMN_UNKNOWN",
    `${table} was renamed, or columns of it: no item of tables hides ${columns.join(", ")} any more`,
    {
      hint: "Name table and columns in tables as they are called now: until the next start they are hidden all the same.",
    },
  );
}

const REASONS: Readonly<Record<Refusal["kind"], string>> = {
  identity: "it has no replica identity",
  virtual: "its REPLICA IDENTITY FULL holds virtual generated columns",
  stored: "its replica identity holds generated columns that are not published",
  list: "its column list lacks a part of the replica identity",
  filter: "its row filter reads more than the replica identity",
};

function writesRefused(
  { publication }: PublishableOptions,
  { schema, name }: TableFacts,
  { kind }: Refusal,
): ConfigError {
  return new ConfigError(
    "TABLE_WRITES_REFUSED",
    `Postgres refuses the application's UPDATE and DELETE of ${schema}.${name}, which ${publication} publishes: ${REASONS[kind]}`,
    {
      hint: "Run what `millrace check` prints for the table, now. Out of a publication of the worker's own it is taken at once, and a marker says so.",
    },
  );
}
