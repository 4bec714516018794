// Keeps a source at its tables while it runs: new ones are published and told of, and what left the publication is noticed.

import { setTimeout as delay } from "node:timers/promises";
import { ConfigError, HistoryLostError, type MillraceError, TransientError } from "../../errors.ts";
import { formatCollectionName } from "../../event/collection-name.ts";
import type { Notice, SourceContext } from "../source.ts";
import { matchesNothing } from "./check/match-tables.ts";
import { translateError } from "./client/errors.ts";
import { type Published, readPublished } from "./facts/publication.ts";
import { type FoundTable, readTables, type TableFacts } from "./facts/tables.ts";
import type { PostgresConfig } from "./options/config.ts";
import type { RuleBook } from "./options/rule-book.ts";
import { publishableTables } from "./publishable.ts";
import { knownOf, leftSince, optionsLost, takenOut } from "./tables/known-tables.ts";
import { movedRows } from "./tables/moved-rows.ts";
import { readPlaces } from "./tables/places.ts";
import { adjustPublication, publicationGone } from "./tables/publication.ts";
import { type FoundLoss, type TableGap, TableRecord, type TableRecordOptions } from "./tables/table-record.ts";

export interface TableWatchOptions extends TableRecordOptions {
  readonly config: PostgresConfig;
  readonly publication: string;
  readonly version: number;
  readonly context: Pick<SourceContext, "log" | "accepts" | "onAccepted">;
  readonly rules: RuleBook;
}

/** Whoever reads the stream. */
export interface Follower {
  goesOn(): boolean;
  /** To be told as soon as the stream stands between two transactions. */
  tell(lost: FoundLoss): void;
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
  async follow({ goesOn, tell, fail }: Follower): Promise<void> {
    const everyMs = Math.min(this.#options.config.timeoutMs / 3, LONGEST_LOOK_MS);
    while (goesOn()) {
      try {
        for (const lost of await this.look()) tell(lost);
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
  async look(): Promise<readonly FoundLoss[]> {
    const { session, source, publication, config, version, context } = this.#options;
    const record = this.#record;
    const again = record.resume();
    if (again.length > 0) return again;
    const before = await readPublished(session, source, publication, config.tables);
    if (before === undefined || (record.known !== undefined && record.known.publication !== before.oid)) {
      throw publicationGone(publication);
    }
    const { tables, unmatched } = await readTables(session, config, version);
    const last = record.known ?? knownOf(before, tables);
    if (record.known === undefined) await record.note(last);
    const told: TableGap[] = [];
    const hasLeft = leftSince(last, before);
    const left = tables.filter(({ oid }) => hasLeft(oid)).map(nameOf);
    const gone = optionsLost(last, before);
    if (left.length > 0 || gone !== undefined) {
      const error = altered(publication, left, gone);
      if (!context.accepts("gap")) throw error; // before it is mended: of options that are there again nobody knows that they were not
      context.onAccepted();
      told.push({ code: error.code, reason: error.message, collections: left });
    }
    const { wanted, breaking, refusals: refused } = await publishableTables(this.#options, before, tables);
    const refusals = [...refused, ...unmatched.map(matchesNothing)];
    if (breaking.length > 0) await record.leaving(breaking);
    const kept = tables.filter((table) => !wanted.some(({ oid }) => oid === table.oid) && !breaking.includes(table));
    const now = await this.#adjust(before, { tables: wanted, kept }, refusals);
    this.#say(refusals);
    const seen = await readPlaces(session, now, tables);
    const known = { ...knownOf(now, tables), places: seen.places };
    if (last.places !== undefined) told.push(...(await movedRows(session, last.places, seen, before)));
    const wasTaken = takenOut(last, before);
    const isTaken = (table: TableFacts): boolean => breaking.includes(table) && !isIn(now, table);
    const withdrawn = tables.filter((table) => wasTaken(table.oid) || isTaken(table));
    if (withdrawn.length > 0) told.push(tableWithdrawn(publication, withdrawn.map(nameOf)));
    const isNew = (table: FoundTable): boolean =>
      known.tables[table.oid] !== undefined && (last.tables[table.oid] === undefined || wasTaken(table.oid));
    const joined = await this.#stored(tables.filter(isNew));
    if (joined.length > 0) told.push(tableAdded(publication, joined));
    if (told.length > 0) return record.tell(known, told);
    await record.note(known);
    return [];
  }

  /** The stream holds what was told for certain, up to this one. */
  recorded(id: string): Promise<void> {
    return this.#record.recorded(id);
  }

  /** What is in the way of one table is told, and does not hold up the others. */
  async #adjust(
    before: Published,
    { tables, kept }: { readonly tables: readonly FoundTable[]; readonly kept: readonly FoundTable[] },
    refusals: MillraceError[],
  ): Promise<Published> {
    const { session, source, publication, version, config, context } = this.#options;
    const options = { source, name: publication, tables, kept, version, log: context.log };
    try {
      if (!(await adjustPublication(session, options, before, false))) return before;
    } catch (error) {
      // What is published goes on: this is for a person to run, or waits for who holds a lock.
      if (!(error instanceof ConfigError) && !(error instanceof TransientError && error.code === "SOURCE_LOCKED"))
        throw error;
      refusals.push(error);
    }
    return (await readPublished(session, source, publication, config.tables)) ?? before;
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

function tableWithdrawn(publication: string, collections: readonly string[]): TableGap {
  const reason = `${collections.join(", ")} left the publication ${publication}, for the application's UPDATE and DELETE failed by it; rows written from here on are not in the stream, until TABLE_ADDED`;
  return { code: "TABLE_WITHDRAWN", reason, collections };
}

function isIn({ tables }: Published, { oid }: FoundTable): boolean {
  return tables.some((table) => table.oid === oid);
}

function noticeOf({ code, message, hint }: MillraceError): Notice {
  return { code, message, hint };
}

function nameOf({ schema, name }: Pick<FoundTable, "schema" | "name">): string {
  return formatCollectionName({ namespace: schema, collection: name });
}
