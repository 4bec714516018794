// What `check` says of the outbox: that its table has the columns, that the worker may clean it up, and that the database's
// own setting says the same as the source's option.

import type { Finding } from "../../telemetry/finding.ts";
import type { OutboxConfig, PostgresConfig } from "./config.ts";
import { OUTBOX_COLUMNS } from "./outbox-table.ts";
import type { Session } from "./session.ts";
import { outboxMode, outboxSql } from "./setup-sql.ts";
import { quoteTable } from "./sql.ts";

interface Facts {
  readonly columns: readonly string[];
  readonly mayCleanUp: boolean;
  readonly mode: string;
}

const facts = `
  SELECT ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped) AS columns,
    coalesce(has_table_privilege(to_regclass($1), 'DELETE') AND has_table_privilege(to_regclass($1), 'SELECT'), false) AS "mayCleanUp",
    coalesce(nullif(current_setting('millrace.outbox', true), ''), 'delete') AS mode`;

/** Nothing for a source without an outbox; a table that is not there is told with the other tables. */
export async function outboxFindings(
  session: Session,
  config: Pick<PostgresConfig, "url" | "outbox">,
): Promise<readonly Finding[]> {
  const { outbox } = config;
  if (outbox === undefined) return [];
  const name = outbox.table === undefined ? "millrace.outbox" : quoteTable(outbox.table);
  const [row] = await session.query<Facts & Record<string, unknown>>(facts, [name]);
  if (row === undefined) return [];
  const findings = outbox.table === undefined || row.columns.length === 0 ? [] : tableFindings(outbox, name, row);
  if (!row.columns.includes("created_at") && outbox.table !== undefined) return findings;
  return [...findings, ...settingFindings(config, row.mode)];
}

function tableFindings(outbox: OutboxConfig, name: string, { columns, mayCleanUp }: Facts): readonly Finding[] {
  const subject = `outbox ${name}`;
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
        fix: `GRANT SELECT, DELETE ON ${name} TO CURRENT_USER; -- the worker's role in place of CURRENT_USER`,
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
