// What is on record of a source's tables across restarts, and the markers of what the stream lacks of some of them.

import { randomUUID } from "node:crypto";
import { bare, comparePositions, type Position } from "../../../event/position.ts";
import type { Marker } from "../../../event/source-event.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { LOG_END, parseLsn } from "../client/lsn.ts";
import { boundaryBefore, historyOf } from "../client/position.ts";
import type { Session } from "../client/session.ts";
import type { KnownTables, Untold } from "../slot/slot-record.ts";
import { sameKnown, storable, withLeaving } from "./known-tables.ts";
import type { FoundTable } from "./tables.ts";

export interface TableRecordOptions {
  readonly source: SourceId;
  readonly session: Session;
  /** What was published when it was looked last; undefined before the first look. */
  readonly known: KnownTables | undefined;
  /** Gaps that were found, and whose markers may not be stored. */
  readonly untold: Untold | undefined;
  /** Where the stream ended when this reading began. */
  readonly from: Position;
  readonly save: (known: KnownTables, untold: Untold | undefined) => Promise<void>;
}

/** Events of some tables that can never come. */
export interface TableGap {
  readonly code: string;
  readonly reason: string;
  readonly collections: readonly string[];
}

/** To be stored as soon as the stream stands between two transactions. */
export type MakeMarker = (at: Position) => Marker;

export class TableRecord {
  /** As it was looked last. */
  known: KnownTables | undefined;
  readonly #options: TableRecordOptions;
  #saved: KnownTables | undefined;
  #untold: Untold | undefined;
  /** Once markers are on their way; `at` is where the last of them stands. */
  #told: { at: Position | undefined } | undefined;

  constructor(options: TableRecordOptions) {
    this.#options = options;
    this.known = options.known;
    this.#saved = options.known;
    this.#untold = options.untold;
  }

  /** Saved at once, unless markers are on their way: then when they are stored. */
  async note(known: KnownTables): Promise<void> {
    this.known = known;
    if (this.#told !== undefined || (this.#saved !== undefined && sameKnown(this.#saved, known))) return;
    await this.#save(known, undefined);
    this.#saved = known;
  }

  /** Before tables are taken out by ourselves: who is killed behind it takes that for no loss by somebody, and tells of it. */
  async leaving(tables: readonly FoundTable[]): Promise<void> {
    const before = this.#saved ?? this.known;
    if (before === undefined) return;
    const untold = this.#untold && { ...this.#untold, known: withLeaving(this.#untold.known, tables) };
    const saved = withLeaving(before, tables);
    await this.#save(saved, untold);
    this.#saved = saved;
    this.#untold = untold;
  }

  /** On record first: whatever happens then, each is told as the same marker, and of the same rows. */
  async tell(known: KnownTables, gaps: readonly TableGap[]): Promise<readonly MakeMarker[]> {
    const { source } = this.#options;
    const upTo = await this.#end();
    const found = gaps.map(({ collections, ...gap }) => {
      const id = `${source}.gap.${bare(upTo)}.${randomUUID()}`;
      return { ...gap, collections: [...collections], upTo, id };
    });
    const untold = { known, gaps: [...(this.#untold?.gaps ?? []), ...found] };
    await this.#save(this.#saved ?? known, untold);
    this.#untold = untold;
    this.#told = undefined;
    return this.#mark(found);
  }

  /** What a reading before this one left: it is not known whether the stream has it. */
  resume(): readonly MakeMarker[] {
    return this.#untold === undefined || this.#told !== undefined ? [] : this.#mark(this.#untold.gaps);
  }

  /** What was told is done with once it is stored: a crash before that tells it again. */
  async acknowledged(position: Position): Promise<void> {
    const [untold, told] = [this.#untold, this.#told];
    // The marker repeats a position: it is stored for certain when a later one is.
    if (untold === undefined || told?.at === undefined || comparePositions(position, told.at) <= 0) return;
    this.#untold = undefined;
    this.#told = undefined;
    this.#saved = untold.known;
    await this.#save(untold.known, undefined);
  }

  #save(known: KnownTables, untold: Untold | undefined): Promise<void> {
    return this.#options.save(storable(known), untold && { ...untold, known: storable(untold.known) });
  }

  #mark(gaps: Untold["gaps"]): readonly MakeMarker[] {
    this.known = this.#untold?.known;
    const told: { at: Position | undefined } = { at: undefined };
    this.#told = told;
    return gaps.map(({ id, ...found }) => (at) => {
      told.at = at;
      const gap = { after: null, ...found };
      const data = Buffer.from(JSON.stringify(gap));
      return { type: "marker", kind: "gap", id, transaction: undefined, data, position: at, gap };
    });
  }

  /** The end of the log: what is committed from here on is published. */
  async #end(): Promise<Position> {
    const { session, from } = this.#options;
    const [row] = await session.query<{ lsn: string }>(`SELECT ${LOG_END}::text AS lsn`);
    return boundaryBefore(historyOf(from), parseLsn(row?.lsn ?? "0/1"));
  }
}
