// What `check` says of each table: whether its rows can be told apart, what their events lack, and who may see them.

import type { Finding } from "../../../telemetry/finding.ts";
import type { Session } from "../client/session.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import { includesTable, type TablePattern } from "../options/table-pattern.ts";
import { type Identity, serves } from "../tables/refused-writes.ts";
import { type FoundTable, HAS_VIRTUAL } from "../tables/tables.ts";
import { readWritten } from "../tables/written-tables.ts";
import { type IdentifiedTable, partitionFindings } from "./check-partitions.ts";

export interface TableFacts extends IdentifiedTable {
  readonly columns: readonly string[];
  /** It and its partitions, without an identity that can be published; `keyed`: a primary key that would serve is there. */
  readonly anonymous: readonly { readonly schema: string; readonly name: string; readonly keyed: boolean }[];
  /** Columns that may be stored apart, where some value of the table is. */
  readonly toasted: readonly string[];
  readonly storedGenerated: readonly string[];
  readonly virtualGenerated: readonly string[];
  readonly rowSecurity: boolean;
  /** The constraint of a primary key that is deferrable: two rows may have one key for a moment. */
  readonly deferrableKey: string | null;
}

/** @param version of the server, as `server_version_num` */
export async function readTables(
  session: Session,
  tables: readonly FoundTable[],
  version: number,
): Promise<readonly TableFacts[]> {
  const rows = await session.query<Omit<TableFacts, keyof FoundTable> & { oid: string }>(facts, [
    tables.map(({ oid }) => oid),
  ]);
  const written = await readWritten(
    session,
    tables.map(({ oid }) => oid),
    version,
  );
  const byOid = new Map(rows.map((row) => [row.oid, row]));
  return tables.flatMap((table) => {
    const row = byOid.get(table.oid);
    // One that was dropped meanwhile has no facts.
    return row === undefined ? [] : [{ ...row, ...table, version, written: written.get(table.oid) ?? [] }];
  });
}

const columnsWhere = (condition: string, relation = "c"): string =>
  `ARRAY(SELECT a.attname::text FROM pg_attribute a
     WHERE a.attrelid = ${relation}.oid AND a.attnum > 0 AND NOT a.attisdropped AND ${condition} ORDER BY a.attnum)`;

const keyOf = (relation: string): string =>
  `(${relation}.relreplident = 'd' AND i.indisprimary AND i.indimmediate OR ${relation}.relreplident = 'i' AND i.indisreplident)`;

/** Columns that an index only includes identify nothing. */
const identityOf = (relation: string): string =>
  columnsWhere(
    `(${relation}.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = ${relation}.oid AND i.indisvalid
       AND ${keyOf(relation)} AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])))`,
    relation,
  );

/** The table and its partitions. The server's tree of a table without partitions is empty, without even itself. */
const TREE = `(SELECT c.oid AS relid, 0 AS level
        UNION ALL SELECT p.relid, p.level FROM pg_partition_tree(c.oid) p WHERE p.level > 0) t`;

const facts = `
  SELECT c.oid::int8::text AS oid,
    ${columnsWhere("true")} AS columns,
    ${identityOf("c")} AS identity,
    c.relreplident = 'f' AS full,
    ${columnsWhere(`EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary
      AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))`)} AS "primaryKey",
    coalesce((
      SELECT json_agg(json_build_object('schema', n.nspname, 'name', r.relname, 'full', r.relreplident = 'f',
        'identity', ${identityOf("r")}, 'rootIndex', (
          SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = r.oid AND EXISTS (
            SELECT FROM pg_partition_ancestors(x.oid) up JOIN pg_index top ON top.indexrelid = up.relid
            WHERE top.indrelid = c.oid AND top.indisreplident))) ORDER BY r.relname)
      FROM ${TREE} JOIN pg_class r ON r.oid = t.relid JOIN pg_namespace n ON n.oid = r.relnamespace
      WHERE t.level > 0 AND r.relkind = 'r'
    ), '[]') AS leaves,
    coalesce((
      SELECT json_agg(json_build_object('schema', n.nspname, 'name', r.relname, 'keyed', EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = r.oid AND i.indisprimary AND i.indimmediate)) ORDER BY t.level, r.relname)
      FROM ${TREE}
      JOIN pg_class r ON r.oid = t.relid JOIN pg_namespace n ON n.oid = r.relnamespace
      WHERE CASE r.relreplident WHEN 'f' THEN ${HAS_VIRTUAL("r")}
        ELSE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = r.oid AND i.indisvalid AND ${keyOf("r")}) END
    ), '[]') AS anonymous,
    CASE WHEN EXISTS (
      SELECT FROM ${TREE} JOIN pg_class r ON r.oid = t.relid
      WHERE r.reltoastrelid <> 0 AND pg_relation_size(r.reltoastrelid) > 0
    ) THEN ${columnsWhere("a.attlen = -1 AND a.attstorage <> 'p'")} ELSE '{}' END AS toasted,
    ${columnsWhere("a.attgenerated = 's'")} AS "storedGenerated",
    ${columnsWhere("a.attgenerated = 'v'")} AS "virtualGenerated",
    c.relrowsecurity AS "rowSecurity",
    (SELECT k.conname::text FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p' AND k.condeferrable) AS "deferrableKey"
  FROM pg_class c WHERE c.oid = ANY ($1::text[]::oid[])`;

export function tableFindings(table: TableFacts): readonly Finding[] {
  const subject = `table ${table.schema}.${table.name}`;
  const quoted = quoteTable(table);
  const findings: Finding[] = [];
  if (!table.identified) {
    findings.push({
      level: "fail",
      code: "TABLE_WITHOUT_IDENTITY",
      subject,
      message: anonymousMessage(table),
      fix: table.anonymous.map((one) => identify(one, table)).join("\n"),
    });
  } else if (table.primaryKey.length === 0 && table.full) {
    findings.push({
      level: "warn",
      code: "TABLE_WITHOUT_KEY",
      subject,
      message: "it has replica identity FULL and no primary key: the key of its events is null",
      fix: `Give it a primary key: ALTER TABLE ${quoted} ADD PRIMARY KEY (...).`,
    });
  }
  // Under another identity than FULL two rows never have one key.
  if (table.full && table.deferrableKey !== null) {
    findings.push({
      level: "warn",
      code: "KEY_DEFERRABLE",
      subject,
      message: `its primary key (${table.primaryKey.join(", ")}) is deferrable: when a transaction lets two rows have one key for a moment, what applies events by key may miss a row`,
      fix: `Where the application needs no such moment: ALTER TABLE ${quoted} DROP CONSTRAINT ${quoteIdentifier(table.deferrableKey)}, ADD PRIMARY KEY (...); else let \`millrace verify --tables\` compare what a consumer keeps.`,
    });
  }
  findings.push(...partitionFindings(table));
  const key = new Set(table.identity);
  const apart = table.toasted.filter((column) => !key.has(column));
  if (!table.full && apart.length > 0) {
    findings.push({
      level: "warn",
      code: "TOAST_LEFT_OUT",
      subject,
      message: `values are stored apart; an update that leaves one alone comes without it, its column named in "unchanged": ${apart.join(", ")}`,
      fix: table.written.every((one) => serves(one, "full", table.version))
        ? [table, ...table.leaves.filter(({ full }) => !full)]
            .map((one) => `ALTER TABLE ${quoteTable(one)} REPLICA IDENTITY FULL;`)
            .join("\n")
            .concat(
              ` -- doubles the log of its updates; or toast: "reselect" for it in tables; or let handlers read "unchanged"`,
            )
        : `Set toast: "reselect" for it in tables, or let handlers read "unchanged". REPLICA IDENTITY FULL would make the application's UPDATE and DELETE fail.`,
    });
  }
  if (table.virtualGenerated.length > 0) {
    findings.push({
      level: "warn",
      code: "GENERATED_LEFT_OUT",
      subject,
      message: `virtual generated columns are never in the log: ${table.virtualGenerated.join(", ")}`,
      fix: "Compute them in the handler, or make them STORED.",
    });
  }
  // A filter of rows is an answer to that, if not the same one.
  if (table.rowSecurity && table.where.length === 0) {
    findings.push({
      level: "warn",
      code: "ROW_SECURITY_IGNORED",
      subject,
      message: "row level security does not hold for the log: all of its rows reach the bus",
      fix: "Limit by NATS permissions who may subscribe; or say by the option where of tables which rows may leave.",
    });
  }
  if (findings.length > 0) return findings;
  const identity = table.full
    ? "FULL: the row before comes along"
    : `rows are told apart by ${table.identity.join(", ")}`;
  return [{ level: "ok", code: "TABLE", subject, message: identity }];
}

/** Tables of all schemas whose rows are never in the log. */
export async function readUnlogged(session: Session): Promise<readonly UnloggedTable[]> {
  return session.query<{ [Key in keyof UnloggedTable]: UnloggedTable[Key] }>(`
    SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'f' AS foreign,
      CASE WHEN c.relreplident = 'f' THEN NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated <> ''
          AND NOT a.attisdropped)
        ELSE EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND ${keyOf("c")}
          AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND a.attgenerated <> ''))
        END AS fit
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (c.relkind IN ('r', 'p') AND c.relpersistence = 'u' OR c.relkind = 'f')
      AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
    ORDER BY n.nspname, c.relname`);
}

export interface UnloggedTable {
  readonly schema: string;
  readonly name: string;
  /** It is another server's: then that one has to be read. */
  readonly foreign: boolean;
  /** Whether the application could still update and delete its rows if it were published. */
  readonly fit: boolean;
}

/** A pattern that names one promises events that never come. */
export function unloggedFindings(
  unlogged: readonly UnloggedTable[],
  patterns: readonly TablePattern[],
): readonly Finding[] {
  return unlogged
    .filter(({ schema, name }) => includesTable(patterns, schema, name))
    .map((table) => ({
      level: "warn",
      code: "TABLE_NOT_LOGGED",
      subject: `table ${table.schema}.${table.name}`,
      message: `it is ${table.foreign ? "foreign" : "unlogged"}: a pattern of the source names it, and its rows are never in the log`,
      fix: table.foreign
        ? `Leave it out with "!${table.schema}.${table.name}" in tables, and read the server that it belongs to.`
        : !table.fit
          ? `Give it a primary key, then ALTER TABLE ${quoteTable(table)} SET LOGGED. Or leave it out with "!${table.schema}.${table.name}" in tables.`
          : `ALTER TABLE ${quoteTable(table)} SET LOGGED; -- or leave it out with "!${table.schema}.${table.name}" in tables`,
    }));
}

function anonymousMessage({ written }: TableFacts): string {
  const refused = "the application's UPDATE and DELETE";
  const fail = written.some(({ publishing }) => publishing.length > 0)
    ? `it is published, so ${refused} fail`
    : `once it is published, ${refused} would fail`;
  const hidden = written.filter(({ replident }) => replident === "f").flatMap(({ virtual }) => virtual);
  if (hidden.length === 0) return `its rows cannot be told apart: ${fail}`;
  return `REPLICA IDENTITY FULL cannot hold virtual generated columns (${[...new Set(hidden)].join(", ")}): ${fail}`;
}

/** Only what leaves the application's writes working, in every publication that has the table. */
function identify(table: TableFacts["anonymous"][number], { written, version }: TableFacts): string {
  const quoted = quoteTable(table);
  const own = written.find(({ schema, name }) => schema === table.schema && name === table.name);
  const may = (identity: Identity): boolean => own === undefined || serves(own, identity, version);
  if (table.keyed && may(own?.primaryKey ?? [])) return `ALTER TABLE ${quoted} REPLICA IDENTITY DEFAULT;`;
  if (may("full")) {
    return `ALTER TABLE ${quoted} REPLICA IDENTITY FULL; -- or better: ALTER TABLE ${quoted} ADD PRIMARY KEY (...)`;
  }
  const index = own?.candidate;
  if (index && may(index.columns)) {
    return `ALTER TABLE ${quoted} REPLICA IDENTITY USING INDEX ${quoteIdentifier(index.name)};`;
  }
  return `Give it a primary key, and REPLICA IDENTITY DEFAULT: ALTER TABLE ${quoted} ADD PRIMARY KEY (...); or leave it out with "!${table.schema}.${table.name}" in tables.`;
}
