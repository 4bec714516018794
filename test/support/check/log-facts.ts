// What Postgres does that a reader of its log must be built around, the test that holds our rule for each, and a way to
// break the rule by which that test must fail. docs/reliability.md shows the table.

import type { Mutation } from "../mutant.ts";

export interface LogFact {
  /** What Postgres, or the client library's own way to read it, does. */
  readonly fact: string;
  readonly rule: string;
  /** The test: its file, and its name as it stands there (`%s` for what a table of cases puts in). */
  readonly file: string;
  readonly test: string;
  /** The rule, broken. */
  readonly broken: Mutation;
}

const replaced = (name: string, file: string, find: string, replace: string): Mutation => ({
  name,
  edits: [{ file, find, replace }],
});

export const LOG_FACTS: readonly LogFact[] = [
  {
    fact: "Commits stand back to back: where one ends (exclusively) the next one's commit record may begin",
    rule: "no LSN is told to the server with one added",
    file: "test/integration/source/postgres/facts.test.ts",
    test: "puts commits back to back, and a restart between two of them begins with the second",
    broken: replaced(
      "one added to the start",
      "source/postgres/client/position.ts",
      "finalOf(position) + 1n :",
      "finalOf(position) + 2n :",
    ),
  },
  {
    fact: "The client library acknowledges, by a timer, what was only received",
    rule: "the slot moves to what is stored, and no further",
    file: "test/integration/source/postgres/stream.test.ts",
    test: "moves the slot only to what was acknowledged",
    broken: replaced(
      "received is acknowledged",
      "source/postgres/replication/replication.ts",
      "acknowledged: this.#acknowledged, replyWanted",
      "acknowledged: this.#received, replyWanted",
    ),
  },
  {
    fact: "The client library passes over a handler's error, and acknowledges what comes behind it",
    rule: "what cannot be taken ends the reading, and comes first at the next one",
    file: "test/integration/source/postgres/facts.test.ts",
    test: "goes on behind what could not be taken only once it was: the reading ends before it, and begins with it again",
    broken: replaced(
      "errors are passed over",
      "worker/tell-schemas.ts",
      "const data = await book.describe(version, position, partition);",
      "let data: Uint8Array | undefined;\n      try {\n        data = await book.describe(version, position, partition);\n      } catch {\n        break;\n      }",
    ),
  },
  {
    fact: "The driver's buffers are used again",
    rule: "what is handed out is in memory that nobody writes to any more",
    file: "test/integration/source/postgres/facts.test.ts",
    test: "comes in buffers that are used again, and what was read first is still right when the last is read",
    broken: replaced(
      "a full buffer is used again",
      "source/json-writer.ts",
      "      this.bytes = Buffer.allocUnsafeSlow(Math.max(ARENA_BYTES, size));\n      this.at = 0;",
      "      if (size > this.bytes.length) this.bytes = Buffer.allocUnsafeSlow(Math.max(ARENA_BYTES, size));\n      this.at = 0;",
    ),
  },
  {
    fact: "A commit is in the log before a SELECT can see it, for as long as it waits for a standby",
    rule: 'a value that `toast: "reselect"` asks for counts only from a snapshot that sees the event\'s transaction',
    file: "test/integration/source/postgres/reselect/reselect.test.ts",
    test: "of a commit that is in the log and not yet visible are waited for: a plain SELECT would give older ones",
    broken: replaced(
      "any snapshot will do",
      "source/postgres/reselect/reselect.ts",
      "if (!visible(one.transaction)) {",
      "if (visible === undefined) {",
    ),
  },
  {
    fact: "Several rows share one LSN (COPY), and an LSN is no place in the order of commits",
    rule: "a position is commit, change and a count",
    file: "test/integration/source/postgres/facts.test.ts",
    test: "gives all rows of a COPY one LSN, and a restart behind the third goes on with the fourth",
    broken: replaced(
      "the LSN alone",
      "source/postgres/decode/sequencer.ts",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
      "return this.#count === 0 ? `${this.#change}000000` : this.#change + hex8(this.#count).slice(2);",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
      "return `${this.#change}000000`;",
    ),
  },
  {
    fact: "A slot takes an acknowledgement of log that does not exist yet, and skips all up to there",
    rule: "nothing is acknowledged that was not received",
    file: "test/integration/source/postgres/stream.test.ts",
    test: "refuses a place inside a transaction, and one that was not received",
    broken: replaced(
      "acknowledged unseen",
      "source/postgres/replication/replication.ts",
      "if (end > this.#received) {",
      "if (end < 0n) {",
    ),
  },
  {
    fact: "Postgres 18 only warns when the publication is gone, and leaves its rows out",
    rule: "the warning ends the source",
    file: "test/integration/source/postgres/facts.test.ts",
    test: "lacks what was written without the publication, and nothing behind that is handed out though it was made again",
    broken: replaced(
      "the warning is ignored",
      "source/postgres/postgres-source.ts",
      'if (notice.severity === "WARNING" && notice.code === "55000")',
      'if (notice.severity === "")',
    ),
  },
  {
    fact: "Rows written while there is a slot and no publication cannot be had again",
    rule: "the publication is made before the slot",
    file: "test/integration/source/postgres/facts.test.ts",
    test: "of a new slot begins when the publication is there already",
    broken: replaced(
      "the slot comes first",
      "source/postgres/slot/first-start.ts",
      "  await options.ensurePublication(true);\n  const consistentPoint = await createSlot(options.client, options.session, options.slot);\n",
      "  const consistentPoint = await createSlot(options.client, options.session, options.slot);\n  await options.ensurePublication(true);\n",
    ),
  },
  {
    fact: "A published table without a replica identity refuses the application's UPDATE and DELETE",
    rule: "such a table is never published",
    file: "test/integration/source/postgres/open.test.ts",
    test: "a table %s",
    broken: replaced(
      "tables of any identity",
      "source/postgres/check/match-tables.ts",
      "anonymous: tables.filter((table) => !table.identified && !anyIdentity),",
      "anonymous: [],",
    ),
  },
  {
    fact: "So does one with a row filter on a column beside its identity",
    rule: "such a filter is never set",
    file: "test/integration/source/postgres/tables/tables.test.ts",
    test: "%s are refused, and the application's writes are as they were",
    broken: replaced(
      "any row filter",
      "source/postgres/tables/publication.ts",
      "const guard = where ? [refuseLooseFilter(filtered.name, filtered.table)] : [];",
      "const guard: string[] = [];",
    ),
  },
  {
    fact: "REPLICA IDENTITY FULL marks every column as part of the key",
    rule: "the primary key is the catalog's",
    file: "test/integration/source/postgres/facts.test.ts",
    test: "flags every column as key under full identity, and an event's key is the primary key alone",
    broken: replaced(
      "the marks are the key",
      "source/postgres/decode/table.ts",
      '(identity === "f" ? primary.includes(column.name) : column.identity)',
      "column.identity",
    ),
  },
];

/** As it stands in docs/reliability.md. */
export function logFactsTable(): string {
  const rows = LOG_FACTS.map(({ fact, rule, file, test }) => `| ${fact} | ${rule} | \`${file}\`: ${test} |`);
  return ["| what happens | our rule | the test that holds it |", "|---|---|---|", ...rows].join("\n");
}
