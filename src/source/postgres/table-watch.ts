// Keeps a source at its tables while it runs: new ones are published and told of, and what left the publication is noticed.

import { setTimeout as delay } from "node:timers/promises";
import { ConfigError, HistoryLostError, type MillraceError, TransientError } from "../../errors.ts";
import type { Position } from "../../event/position.ts";
import type { Notice, SourceContext } from "../source.ts";
import { readReselect, reselectFindings } from "./check-reselect.ts";
import { readRuled } from "./check-rules.ts";
import type { PostgresConfig } from "./config.ts";
import { translateError } from "./errors.ts";
import { knownOf, leftSince, optionsLost } from "./known-tables.ts";
import { adjustPublication, publicationGone } from "./publication.ts";
import { insertsOnly, type Published, readPublished } from "./published.ts";
import { refuse } from "./refuse.ts";
import type { RuleBook } from "./rule-book.ts";
import { type MakeMarker, type TableGap, TableRecord, type TableRecordOptions } from "./table-record.ts";
import { checkKey } from "./table-rules.ts";
import { type FoundTable, findTables, withoutIdentity } from "./tables.ts";

export interface TableWatchOptions extends TableRecordOptions {
  readonly config: PostgresConfig;
  readonly publication: string;
  readonly version: number;
  readonly context: Pick<SourceContext, "log" | "onGap" | "newestGap" | "onAdopted">;
  readonly rules: RuleBook;
  /** Whether rows that were not published may be given up; they are on record then. */
  readonly acceptGap: () => boolean;
}

/** Whoever reads the stream. */
export interface Follower {
  goesOn(): boolean;
  /** To be told as soon as the stream stands between two transactions. */
  mark(marker: MakeMarker): void;
  fail(error: MillraceError): void;
}

/** After how long at most a new table is noticed. */
const LONGEST_LOOK_MS = 10_000;

const stored = `
  SELECT t.oid::int8::text AS oid, pg_relation_size(t.oid) + coalesce((
    SELECT sum(pg_relation_size(p.relid)) FROM pg_partition_tree(t.oid) p WHERE p.relid <> t.oid), 0) > 0 AS stored
  FROM unnest($1::text[]::oid[]) t (oid) WHERE EXISTS (SELECT FROM pg_class c WHERE c.oid = t.oid)`;

export class TableWatch {
  notices: readonly Notice[] = [];
  readonly #options: TableWatchOptions;
  readonly #record: TableRecord;

  constructor(options: TableWatchOptions) {
    this.#options = options;
    this.#record = new TableRecord(options);
  }

  /** Looks at once, then again and again. Never rejects. */
  async follow({ goesOn, mark, fail }: Follower): Promise<void> {
    const everyMs = Math.min(this.#options.config.timeoutMs / 3, LONGEST_LOOK_MS);
    while (goesOn()) {
      try {
        for (const marker of await this.look()) mark(marker);
      } catch (thrown) {
        const error = translateError(thrown);
        if (!(error instanceof TransientError)) return fail(error);
        this.notices = [noticeOf(error)]; // such as a table that somebody locks: tried again
      }
      await delay(everyMs, undefined, { ref: false });
    }
  }

  /**
   * Compares what is to be read with what is published, and mends what it may.
   * @returns what the stream must be told, as soon as it stands between two transactions
   * @throws HistoryLostError PUBLICATION_MISSING, PUBLICATION_ALTERED; TransientError
   */
  async look(): Promise<readonly MakeMarker[]> {
    const { session, source, publication, config, acceptGap, context } = this.#options;
    const record = this.#record;
    const again = await record.resume();
    if (again.length > 0) return again;
    const before = await readPublished(session, source, publication, config.tables);
    if (before === undefined || (record.known !== undefined && record.known.publication !== before.oid)) {
      throw publicationGone(publication);
    }
    const { tables } = await findTables(session, config.tables);
    const last = record.known ?? knownOf(before, tables);
    if (record.known === undefined) await record.note(last);
    const told: TableGap[] = [];
    const hasLeft = leftSince(last, before);
    const left = tables.filter(({ oid }) => hasLeft(oid)).map(nameOf);
    const gone = optionsLost(last, before);
    if (left.length > 0 || gone !== undefined) {
      const error = altered(publication, left, gone);
      if (!acceptGap()) throw error; // before it is mended: of options that are there again nobody knows that they were not
      context.onAdopted();
      told.push({ code: error.code, reason: error.message, collections: left });
    }
    const refusals: MillraceError[] = [];
    const wanted = await this.#allowed(before, tables, refusals);
    const now = await this.#adjust(before, wanted, tables, refusals);
    this.#say(refusals);
    const known = knownOf(now, tables);
    const isNew = ({ oid }: FoundTable): boolean => known.tables[oid] !== undefined && last.tables[oid] === undefined;
    const joined = await this.#stored(tables.filter(isNew));
    if (joined.length > 0) told.push(tableAdded(publication, joined));
    if (told.length > 0) return record.tell(known, told);
    await record.note(known);
    return [];
  }

  /** The stream is stored for certain up to here. */
  acknowledged(position: Position): Promise<void> {
    return this.#record.acknowledged(position);
  }

  /** Without those whose rows cannot be told apart or looked up, or whose key would be hidden. */
  async #allowed(
    { ops }: Published,
    tables: readonly FoundTable[],
    refusals: MillraceError[],
  ): Promise<readonly FoundTable[]> {
    const { session, config, rules } = this.#options;
    const refused = new Set<string>();
    const anonymous = insertsOnly(ops) ? [] : tables.filter(({ identified }) => !identified);
    if (anonymous.length > 0) refusals.push(withoutIdentity(anonymous));
    for (const { oid } of anonymous) refused.add(oid);
    for (const table of await readRuled(session, config.tables, tables, rules.hiding)) {
      const { oid, schema, name, key, columns } = table;
      const own = rules.of(schema, name);
      if (own === undefined) continue;
      const named = { oid: Number(oid), namespace: schema, name };
      rules.learn(named, columns);
      const unnamed = rules.unnamed(named, columns);
      if (unnamed.length > 0) refusals.push(hiddenByNumber(nameOf(table), unnamed));
      try {
        checkKey(schema, name, key, own);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        refusals.push(error);
        refused.add(oid);
      }
    }
    for (const table of await readReselect(session, rules.of, tables)) {
      try {
        refuse(reselectFindings(table));
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        refusals.push(error);
        refused.add(table.oid);
      }
    }
    return tables.filter(({ oid }) => !refused.has(oid));
  }

  async #adjust(
    before: Published,
    wanted: readonly FoundTable[],
    all: readonly FoundTable[],
    refusals: MillraceError[],
  ): Promise<Published> {
    const { session, source, publication, version, config, context } = this.#options;
    const published = new Set(wanted);
    const kept = all.filter((table) => !published.has(table));
    try {
      const changed = await adjustPublication(
        session,
        { source, name: publication, tables: wanted, kept, version, log: context.log },
        before,
        false,
      );
      return (changed ? await readPublished(session, source, publication, config.tables) : undefined) ?? before;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      refusals.push(error); // what is published goes on; this is for a person to run
      return before;
    }
  }

  /** Rows of a table that never held one were not missed. */
  async #stored(tables: readonly FoundTable[]): Promise<readonly string[]> {
    if (tables.length === 0) return [];
    const rows = await this.#options.session.query<{ oid: string; stored: boolean }>(stored, [
      tables.map(({ oid }) => oid),
    ]);
    const holding = new Set(rows.filter((row) => row.stored).map(({ oid }) => oid));
    return tables.filter(({ oid }) => holding.has(oid)).map(nameOf);
  }

  /** Once for each: status and readiness show it all the time. */
  #say(refusals: readonly MillraceError[]): void {
    const { source, context } = this.#options;
    const notices = refusals.map(noticeOf);
    for (const { code, message, hint } of notices) {
      if (this.notices.some((said) => said.code === code && said.message === message)) continue;
      context.log.warn("source_table_left_out", { source, code, hint }, message);
    }
    this.notices = notices;
  }
}

function altered(publication: string, tables: readonly string[], options: string | undefined): HistoryLostError {
  const what = [tables.join(", "), options].filter((part) => part !== undefined && part !== "").join("; ");
  return new HistoryLostError("PUBLICATION_ALTERED", `somebody took out of the publication ${publication}: ${what}`, {
    hint: "Rows written since then are not in the log's stream and cannot be had again: run --adopt publishes the tables again where this role may, and records the gap.",
  });
}

function tableAdded(publication: string, collections: readonly string[]): TableGap {
  const reason = `${collections.join(", ")} came into the publication ${publication}; rows written before are not in the stream`;
  return { code: "TABLE_ADDED", reason, collections };
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

function noticeOf({ code, message, hint }: MillraceError): Notice {
  return { code, message, hint };
}

function nameOf({ schema, name }: Pick<FoundTable, "schema" | "name">): string {
  return `${schema}.${name}`;
}
