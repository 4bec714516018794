// A start is refused for what `check` fails for, in the same words: there is one place that says what must hold.

import { ConfigError } from "../../../errors.ts";
import type { Finding } from "../../../telemetry/finding.ts";

/** docs/errors.md is made from this table; the fix that is printed is the finding's own. */
const refused: readonly { readonly code: string; readonly hint: string }[] = [
  { code: "SERVER_TOO_OLD", hint: "Upgrade it: Millrace needs Postgres 14 or newer." },
  {
    code: "SERVER_STANDBY",
    hint: "Use the primary's address in the source's url, or all addresses and target_session_attrs=primary.",
  },
  { code: "WAL_LEVEL_NOT_LOGICAL", hint: "Set wal_level to logical and restart the server." },
  { code: "ROLE_NOT_REPLICATION", hint: "ALTER ROLE ... REPLICATION; on RDS: GRANT rds_replication TO ..." },
  { code: "ENCODING_UNKNOWN", hint: "Move it to a database with the encoding UTF8." },
  { code: "SLOTS_EXHAUSTED", hint: "Raise max_replication_slots, or drop a slot that nobody needs." },
  { code: "WALSENDERS_EXHAUSTED", hint: "Raise max_wal_senders." },
  { code: "FAILOVER_STALLED", hint: "Take what is no physical slot out of synchronized_standby_slots." },
  {
    code: "PARTITION_IDENTITY",
    hint: "Give the partitions the replica identity of their root, by the printed statements.",
  },
  { code: "PUBLICATION_MISSING", hint: "Let the owner of the tables run the printed CREATE PUBLICATION." },
  { code: "PUBLICATION_LACKS_TABLES", hint: "Let the owner of the tables run the printed ALTER PUBLICATION." },
  { code: "PUBLICATION_OF_PARTITIONS", hint: "ALTER PUBLICATION ... SET (publish_via_partition_root = true);" },
  { code: "COLUMN_LIST_LACKS_KEY", hint: "Run the printed statements: they publish the table with its key." },
  {
    code: "GENERATED_IN_IDENTITY",
    hint: "ALTER PUBLICATION ... SET (publish_generated_columns = stored);",
  },
  { code: "ROW_FILTER_REFUSED", hint: "Let the owner of the tables run the printed statements." },
  {
    code: "OUTBOX_COLUMNS_MISSING",
    hint: "Give the table the columns that `millrace sql outbox` prints, or name another one.",
  },
  { code: "OUTBOX_COLUMNS_UNFIT", hint: "Give the columns the types that `millrace sql outbox` prints." },
  { code: "OUTBOX_SETTING", hint: "Run the printed ALTER DATABASE, or set the source's option outbox.mode." },
  { code: "OUTBOX_CLEAN_UP", hint: "Grant the worker's role what the printed GRANT says, or leave out outbox.keep." },
  { code: "RESELECT_WITHOUT_KEY", hint: 'Give the table a primary key, or name it without toast: "reselect".' },
  { code: "RESELECT_NOT_GRANTED", hint: "Let the owner of the table run the printed GRANT." },
  { code: "RESELECT_ROW_SECURITY", hint: 'ALTER ROLE ... BYPASSRLS; or name the table without toast: "reselect".' },
  {
    code: "ROW_FILTER_OFF_KEY",
    hint: "ALTER TABLE ... REPLICA IDENTITY FULL; or publish the table without its filter.",
  },
];

/** @throws ConfigError for the first finding that fails, with what mends all that do */
export function refuse(findings: readonly Finding[]): void {
  const failed = findings.filter(({ level, code }) => level === "fail" && refused.some((one) => one.code === code));
  const [first] = failed;
  const entry = refused.find((one) => one.code === first?.code);
  if (first === undefined || entry === undefined) return;
  const lines = failed.flatMap(({ fix }) => fix?.split("\n") ?? []);
  throw new ConfigError(entry.code, `${first.subject}: ${first.message}`, { hint: oneLine(lines) || entry.hint });
}

/** Statements, and behind them what is for the reader: a comment would swallow what follows it on the line. */
function oneLine(lines: readonly string[]): string {
  const parts = lines.map((line) => /^(.*;) -- (.*)$/.exec(line)?.slice(1) ?? [line]);
  const notes = parts.flatMap(([, note]) => note ?? []);
  return `${parts.map(([statement]) => statement).join(" ")}${notes.length > 0 ? ` -- ${notes.join("; ")}` : ""}`;
}
