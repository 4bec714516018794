// The outbox as the database has it: its table, its functions, who owns them, and who may write messages.

import type { Session } from "../client/session.ts";
import type { PostgresConfig } from "../options/config.ts";

/** What a source with an outbox, or with messages, goes by. */
export interface OutboxFacts {
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

export interface Stranger {
  readonly what: string;
  readonly owner: string;
  /** What whoever emits, or works in tx(), needs of it. */
  readonly rights: string;
}

export type OutboxOptions = Pick<PostgresConfig, "url" | "outbox" | "messages">;

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

/** Undefined for a source without an outbox or messages. */
export async function readOutbox(
  session: Session,
  { outbox, messages }: OutboxOptions,
): Promise<OutboxFacts | undefined> {
  if (outbox === undefined && messages.length === 0) return undefined;
  const { schema = "", name = "" } = outbox?.table ?? {};
  const [row] = await session.query<{ [Key in keyof OutboxFacts]: OutboxFacts[Key] }>(facts, [schema, name]);
  return row;
}
