// What `check` says of the outbox: that its table and functions are as they must be, that rows can be deleted, and that the
// database's own setting says the same as the source's option.

import { about, type Finding } from "../../../telemetry/finding.ts";
import type { Session } from "../client/session.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import { OUTBOX_COLUMNS } from "../decode/outbox-table.ts";
import type { OutboxConfig, PostgresConfig } from "../options/config.ts";
import { grantMessages, revokeMessages } from "./message-rights.ts";
import { outboxMode, outboxSql } from "./setup-sql.ts";

interface Facts {
  /** The type of each column without its domains, and that one's category. */
  readonly columns: readonly { readonly name: string; readonly type: string; readonly category: string }[];
  readonly mayCleanUp: boolean;
  /** Row level security is on, and who owns the table comes under it or is not the worker. */
  readonly hidesRows: boolean;
  readonly mode: string;
  readonly role: string;
  readonly version: number;
  /** A digest of the functions that are installed; null where none is. */
  readonly functions: string | null;
  readonly everybodyWrites: boolean;
  /** Who may use the schema millrace, and is no superuser. */
  readonly writers: readonly string[];
  /** What of the schema millrace belongs to neither a superuser nor the owner of the database. */
  readonly strangers: readonly Stranger[];
  /** Quoted. */
  readonly databaseOwner: string;
}

interface Stranger {
  readonly what: string;
  readonly owner: string;
  /** What whoever emits, or works in tx(), needs of it. */
  readonly rights: string;
}

/** What `functions` is of those in `migrations/`. */
const OUTBOX_FUNCTIONS = "d26c5c24579c3c595c2ec2c19c39dabdee364d432bad3adf8a662b0c7874d8cd";

/** By joins: a table's name as a regclass takes a right on its schema, which the least role does not have. */
const facts = `
  SELECT coalesce((
      WITH RECURSIVE types AS (
        SELECT a.attname, a.attnum, a.atttypid AS type FROM pg_attribute a
          WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
        UNION SELECT attname, attnum, y.typbasetype FROM types JOIN pg_type y ON y.oid = type AND y.typtype = 'd'
      )
      SELECT json_agg(json_build_object('name', attname, 'type', y.typname, 'category', y.typcategory) ORDER BY attnum)
      FROM types JOIN pg_type y ON y.oid = type AND y.typtype <> 'd'), '[]') AS columns,
    coalesce(has_schema_privilege(t.relnamespace, 'USAGE') AND has_table_privilege(t.oid, 'DELETE')
      AND has_table_privilege(t.oid, 'SELECT'), false) AS "mayCleanUp",
    coalesce(t.relrowsecurity AND NOT EXISTS (
      SELECT FROM pg_policy p WHERE p.polrelid = t.oid AND p.polcmd IN ('*', 'd')), false) AS "hidesRows",
    coalesce(nullif(current_setting('millrace.outbox', true), ''), 'delete') AS mode,
    current_user AS role, current_setting('server_version_num')::int AS version,
    (SELECT encode(sha256(convert_to(string_agg(p.proname || coalesce(p.proconfig::text, '') || p.prosrc, '' ORDER BY p.proname), 'UTF8')), 'hex')
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname = 'millrace' AND p.proname IN ('check_event', 'check_outbox', 'emit')) AS functions,
    EXISTS (SELECT FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = 'pg_logical_emit_message' AND a.grantee = 0) AS "everybodyWrites",
    (SELECT coalesce(json_agg(DISTINCT r.rolname), '[]')
      FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a JOIN pg_roles r ON r.oid = a.grantee
      WHERE n.nspname = 'millrace' AND a.privilege_type = 'USAGE' AND NOT r.rolsuper) AS writers,
    (SELECT format('%I', pg_get_userbyid(datdba)) FROM pg_database WHERE datname = current_database()) AS "databaseOwner",
    (SELECT coalesce(json_agg(json_build_object('what', what, 'owner', r.rolname, 'rights', rights) ORDER BY what), '[]') FROM (
        SELECT 'SCHEMA millrace' AS what, nspowner AS owner, 'USAGE' AS rights FROM pg_namespace WHERE nspname = 'millrace'
        UNION ALL SELECT format('TABLE millrace.%I', c.relname), c.relowner, 'SELECT, INSERT, DELETE'
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = 'millrace' AND c.relname IN ('outbox', 'inbox') AND c.relkind IN ('r', 'p')
        UNION ALL SELECT format('FUNCTION millrace.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), p.proowner, 'EXECUTE'
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'millrace'
      ) objects JOIN pg_roles r ON r.oid = owner
      WHERE NOT r.rolsuper AND owner <> (SELECT datdba FROM pg_database WHERE datname = current_database())) AS strangers
  FROM (SELECT) one LEFT JOIN (
    SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
  ) t ON true`;

/** Nothing for a source without an outbox or messages; a table that is not there is told with the other tables. */
export async function outboxFindings(
  session: Session,
  config: Pick<PostgresConfig, "url" | "outbox" | "messages">,
): Promise<readonly Finding[]> {
  const { outbox, messages } = config;
  if (outbox === undefined && messages.length === 0) return [];
  const { schema = "", name = "" } = outbox?.table ?? {};
  const [row] = await session.query<Facts & Record<string, unknown>>(facts, [schema, name]);
  if (row === undefined) return [];
  const table = row.columns.length === 0 ? undefined : outbox?.table;
  return [
    ...(outbox === undefined || table === undefined ? [] : tableFindings(outbox, table, row)),
    ...(outbox === undefined
      ? []
      : [...functionFindings(row), ...ownerFindings(row), ...settingFindings(config, row.mode)]),
    ...messageFindings(config, row),
  ];
}

const TEXTS = ["S", "E"];
/** What each column may be: a type's name, or a category of types. Its text is what the event has. */
const FITTING: Readonly<Record<string, readonly string[]>> = {
  id: ["uuid", "S"],
  aggregatetype: TEXTS,
  aggregateid: [...TEXTS, "N", "uuid"],
  type: TEXTS,
  payload: ["json", "jsonb", "S"],
  headers: ["json", "jsonb", "S"],
  created_at: ["timestamptz", "timestamp", "date"],
};

function tableFindings(
  outbox: OutboxConfig,
  table: { readonly schema: string; readonly name: string },
  { columns, mayCleanUp, hidesRows, role, mode }: Facts,
): readonly Finding[] {
  const { fail, ok, warn } = about(`outbox ${table.schema}.${table.name}`);
  const needed = outbox.keepMs === undefined ? OUTBOX_COLUMNS : [...OUTBOX_COLUMNS, "created_at"];
  const lacking = needed.filter((column) => !columns.some(({ name }) => name === column));
  if (lacking.length > 0) {
    return [
      fail(
        "OUTBOX_COLUMNS_MISSING",
        `it has no column ${lacking.join(", ")}`,
        "millrace sql outbox prints the table as it must be; the option outbox.table names another one.",
      ),
    ];
  }
  const unfit = columns.filter(
    ({ name, type, category }) =>
      (name === "headers" || needed.some((column) => column === name)) &&
      FITTING[name]?.some((fitting) => fitting === type || fitting === category) === false,
  );
  if (unfit.length > 0) {
    return [
      fail(
        "OUTBOX_COLUMNS_UNFIT",
        `each of its rows would be poison: ${unfit.map(({ name, type }) => `${name} is ${type}`).join(", ")}`,
        "id must be a uuid or text, aggregatetype, aggregateid and type text, payload and headers JSON or text, created_at a time; millrace sql outbox prints the table.",
      ),
    ];
  }
  if (outbox.keepMs !== undefined && !mayCleanUp) {
    return [
      fail(
        "OUTBOX_CLEAN_UP",
        "the worker's role may not delete the rows that are older than outbox.keep",
        `GRANT USAGE ON SCHEMA ${quoteIdentifier(table.schema)} TO ${quoteIdentifier(role)};\nGRANT SELECT, DELETE ON ${quoteTable(table)} TO ${quoteIdentifier(role)};`,
      ),
    ];
  }
  if (hidesRows && (mode === "delete" || outbox.keepMs !== undefined)) {
    // Where rows are kept the worker alone deletes them; else whoever emits does, whose rows they are.
    const to = outbox.keepMs === undefined ? "" : ` TO ${quoteIdentifier(role)}`;
    return [
      warn(
        "OUTBOX_ROWS_STAY",
        "row level security lets nobody but its owner delete a row, so rows stay that should go",
        `CREATE POLICY millrace_delete ON ${quoteTable(table)} FOR DELETE${to} USING (true);\nCREATE POLICY millrace_select ON ${quoteTable(table)} FOR SELECT${to} USING (true); -- or: ALTER TABLE ${quoteTable(table)} DISABLE ROW LEVEL SECURITY`,
      ),
    ];
  }
  return [ok("OUTBOX", "it has the columns of an outbox")];
}

/** Older ones also ran what others had put into the caller's search_path. */
function functionFindings({ functions }: Facts): readonly Finding[] {
  if (functions === null || functions === OUTBOX_FUNCTIONS) return [];
  return [
    about("outbox").warn(
      "OUTBOX_FUNCTIONS_OLD",
      "the functions of the schema millrace are not those of this version of Millrace",
      "Let the owner of the database run what `millrace sql outbox` prints: it replaces them.",
    ),
  ];
}

/** Who owns any of it, or could make the schema first, decides what runs with the rights of all who emit. */
function ownerFindings({ strangers, databaseOwner }: Facts): readonly Finding[] {
  if (strangers.length === 0) return [];
  const owners = [...new Set(strangers.map(({ owner }) => quoteIdentifier(owner)))].join(", ");
  return [
    about("schema millrace").warn(
      "OUTBOX_OWNER",
      `${strangers.map(({ what }) => what).join(", ")}: owned by ${owners}, neither a superuser nor the owner of the database, and what an owner puts there runs with the rights of all who emit`,
      `${strangers.map((one) => newOwner(one, databaseOwner)).join("\n")} -- then what \`millrace sql outbox\` prints; as it is where ${owners} may do all that the roles that emit may`,
    ),
  ];
}

/** Who loses what it owns goes on emitting: often it is the application's own role, which ran the migrations. */
function newOwner({ what, owner, rights }: Stranger, databaseOwner: string): string {
  return `BEGIN; ALTER ${what} OWNER TO ${databaseOwner}; GRANT ${rights} ON ${what} TO ${quoteIdentifier(owner)}; COMMIT;`;
}

/** Messages that nobody reads are lost events; rows are read in every mode. */
function settingFindings(config: Pick<PostgresConfig, "url" | "outbox">, mode: string): readonly Finding[] {
  const wanted = outboxMode(config.outbox);
  if (mode === wanted) return [];
  const [fix = ""] = outboxSql(config);
  const lost = mode === "message";
  return [
    {
      level: lost ? "fail" : "warn",
      code: "OUTBOX_SETTING",
      subject: "outbox",
      message: `the database's setting millrace.outbox is ${JSON.stringify(mode)}, and the source's option says "${wanted}": ${lost ? "events would be messages, and the source reads only rows" : "events come all the same, and rows are left or not as the database says"}`,
      fix: `${fix} -- for new connections`,
    },
  ];
}

function messageFindings(
  { outbox, messages }: Pick<PostgresConfig, "outbox" | "messages">,
  { everybodyWrites, writers, role, version }: Facts,
): readonly Finding[] {
  const finding = { code: "MESSAGES_BY_ANYBODY", subject: "function pg_logical_emit_message" };
  if (!everybodyWrites) return [{ ...finding, level: "ok", message: "not every role may write messages" }];
  const roles = [...new Set([role, ...writers])].map(quoteIdentifier);
  const forged = [
    ...(outbox !== undefined && outbox.table === undefined ? ["domain events"] : []),
    ...messages.map((prefix) => `messages ${JSON.stringify(prefix)}`),
    "the ids of what caused its own changes",
  ];
  return [
    {
      ...finding,
      level: "warn",
      message: `every role that can connect may write messages, and so forge ${forged.join(", ")}`,
      // Who else writes some is not known, and would be refused from then on: that is for a person to do.
      fix: `${grantMessages(version, roles.join(", "))} -- a superuser, in this database; and the same for each other role that writes them\n-- and then, for who lacks it can write none any more (docs/security.md): ${revokeMessages(version).slice(0, -1)}`,
    },
  ];
}
