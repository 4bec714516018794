// What `check` says of the outbox: that its table has the columns, that the worker may clean it up, and that the database's
// own setting says the same as the source's option.

import type { Finding } from "../../telemetry/finding.ts";
import type { OutboxConfig, PostgresConfig } from "./config.ts";
import { OUTBOX_COLUMNS } from "./outbox-table.ts";
import type { Session } from "./session.ts";
import { outboxMode, outboxSql } from "./setup-sql.ts";
import { quoteIdentifier, quoteTable } from "./sql.ts";

interface Facts {
  readonly columns: readonly string[];
  readonly mayCleanUp: boolean;
  readonly mode: string;
  readonly role: string;
}

/** By joins: a table's name as a regclass takes a right on its schema, which the least role does not have. */
const facts = `
  SELECT ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped) AS columns,
    coalesce(has_schema_privilege(t.relnamespace, 'USAGE') AND has_table_privilege(t.oid, 'DELETE')
      AND has_table_privilege(t.oid, 'SELECT'), false) AS "mayCleanUp",
    coalesce(nullif(current_setting('millrace.outbox', true), ''), 'delete') AS mode,
    current_user AS role
  FROM (SELECT) one LEFT JOIN (
    SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
  ) t ON true`;

/** Nothing for a source without an outbox; a table that is not there is told with the other tables. */
export async function outboxFindings(
  session: Session,
  config: Pick<PostgresConfig, "url" | "outbox">,
): Promise<readonly Finding[]> {
  const { outbox } = config;
  if (outbox === undefined) return [];
  const { schema = "", name = "" } = outbox.table ?? {};
  const [row] = await session.query<Facts & Record<string, unknown>>(facts, [schema, name]);
  if (row === undefined) return [];
  const findings =
    outbox.table === undefined || row.columns.length === 0 ? [] : tableFindings(outbox, outbox.table, row);
  return [...findings, ...settingFindings(config, row.mode)];
}

function tableFindings(
  outbox: OutboxConfig,
  table: { readonly schema: string; readonly name: string },
  { columns, mayCleanUp, role }: Facts,
): readonly Finding[] {
  const subject = `outbox ${table.schema}.${table.name}`;
  const needed = outbox.keepMs === undefined ? OUTBOX_COLUMNS : [...OUTBOX_COLUMNS, "created_at"];
  const lacking = needed.filter((column) => !columns.includes(column));
  if (lacking.length > 0) {
    return [
      {
        level: "fail",
        code: "OUTBOX_COLUMNS_MISSING",
        subject,
        message: `it has no column ${lacking.join(", ")}`,
        fix: "millrace sql outbox prints the table as it must be; the option outbox.table names another one.",
      },
    ];
  }
  if (outbox.keepMs !== undefined && !mayCleanUp) {
    return [
      {
        level: "fail",
        code: "OUTBOX_CLEAN_UP",
        subject,
        message: "the worker's role may not delete the rows that are older than outbox.keep",
        fix: `GRANT USAGE ON SCHEMA ${quoteIdentifier(table.schema)} TO ${quoteIdentifier(role)};\nGRANT SELECT, DELETE ON ${quoteTable(table)} TO ${quoteIdentifier(role)};`,
      },
    ];
  }
  return [{ level: "ok", code: "OUTBOX", subject, message: "it has the columns of an outbox" }];
}

function settingFindings(config: Pick<PostgresConfig, "url" | "outbox">, mode: string): readonly Finding[] {
  const wanted = outboxMode(config.outbox);
  if (mode === wanted) return [];
  const [fix = ""] = outboxSql(config);
  return [
    {
      level: "warn",
      code: "OUTBOX_SETTING",
      subject: "outbox",
      message: `the database's setting millrace.outbox is ${JSON.stringify(mode)}, and the source's option says "${wanted}": events come all the same, and rows are left or not as the database says`,
      fix: `${fix} -- for new connections`,
    },
  ];
}
