// What `check` says of the outbox: that its table and functions are as they must be, that rows can be deleted, and that the
// database's own setting says the same as the source's option.

import { about, type Finding } from "../../../telemetry/finding.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import { OUTBOX_COLUMNS } from "../decode/outbox-table.ts";
import type { OutboxFacts, OutboxOptions, Stranger } from "../facts/outbox.ts";
import type { OutboxConfig } from "../options/config.ts";
import { grantMessages, outboxSql, revokeMessages } from "./outbox-sql.ts";

/** What `functions` is of those in `migrations/`. */
const OUTBOX_FUNCTIONS = "d26c5c24579c3c595c2ec2c19c39dabdee364d432bad3adf8a662b0c7874d8cd";

/** Nothing for a source without an outbox or messages; a table that is not there is told with the other tables. */
export function outboxFindings(config: OutboxOptions, facts: OutboxFacts | undefined): readonly Finding[] {
  if (facts === undefined) return [];
  const { outbox } = config;
  if (outbox === undefined) return messageFindings(config, facts);
  const table = facts.columns.length === 0 ? undefined : outbox.table;
  return [
    ...(table === undefined ? [] : tableFindings(outbox, table, facts)),
    ...functionFindings(facts),
    ...ownerFindings(facts),
    ...settingFindings(config.url, outbox, facts),
    ...messageFindings(config, facts),
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
  { columns, mayCleanUp, hidesRows, role, mode }: OutboxFacts,
): readonly Finding[] {
  const { fail, ok, warn } = about(`outbox ${table.schema}.${table.name}`);
  const needed = outbox.keepMs === undefined ? OUTBOX_COLUMNS : [...OUTBOX_COLUMNS, "created_at"];
  const lacking = needed.filter((column) => !columns.some(({ name }) => name === column));
  if (lacking.length > 0) {
    // Only `keep` asks for it, of a table of one's own.
    const mend = lacking.every((column) => column === "created_at")
      ? `ALTER TABLE ${quoteTable(table)} ADD COLUMN created_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now(); -- for outbox.keep, or leave that out`
      : "Give it these columns, as those of millrace.outbox are in what `millrace sql outbox` prints, or name another table by the option outbox.table.";
    return [fail("OUTBOX_COLUMNS_MISSING", `it has no column ${lacking.join(", ")}`, mend)];
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
function functionFindings({ functions }: OutboxFacts): readonly Finding[] {
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
function ownerFindings({ strangers, databaseOwner }: OutboxFacts): readonly Finding[] {
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
function settingFindings(url: string, outbox: OutboxConfig, { mode }: OutboxFacts): readonly Finding[] {
  const wanted = outbox.setting;
  if (mode === wanted) return [];
  const [fix = ""] = outboxSql({ url, outbox });
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
  { outbox, messages }: OutboxOptions,
  { everybodyWrites, writers, role, version }: OutboxFacts,
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
