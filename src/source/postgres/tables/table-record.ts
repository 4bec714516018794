// What is on record of a source's tables across restarts, and with it what the stream lacks of some of them.

import type { Position } from "../../../event/position.ts";
import { newLostId } from "../../../event/source-event.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Lost } from "../../source.ts";
import { LOG_END, parseLsn } from "../client/lsn.ts";
import { boundaryBefore, historyOf } from "../client/position.ts";
import type { Session } from "../client/session.ts";
import type { FoundTable } from "../facts/tables.ts";
import type { KnownTables, Untold } from "../slot/slot-record.ts";
import { sameKnown, storable, withLeaving } from "./known-tables.ts";

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
export type TableGap = Pick<Lost, "code" | "reason" | "collections">;

/** The same on record, before its place is known: it is handed out as soon as the stream stands between two transactions. */
export type FoundLoss = Omit<Lost, "type" | "position">;

export class TableRecord {
  /** As it was looked last. */
  known: KnownTables | undefined;
  readonly #options: TableRecordOptions;
  #saved: KnownTables | undefined;
  #untold: Untold | undefined;
  /** Whether what is untold is on its way. */
  #telling = false;

  constructor(options: TableRecordOptions) {
    this.#options = options;
    this.known = options.known;
    this.#saved = options.known;
    this.#untold = options.untold;
  }

  /** Saved at once, unless losses are on their way: then when those are stored. */
  async note(known: KnownTables): Promise<void> {
    this.known = known;
    if (this.#telling || (this.#saved !== undefined && sameKnown(this.#saved, known))) return;
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

  /**
   * On record first: whatever happens then, each is told as the same marker, and of the same rows. In one write with what was
   * published when they were found: two would tell of a gap twice, or never, where somebody is killed between them.
   */
  async tell(known: KnownTables, gaps: readonly TableGap[]): Promise<readonly FoundLoss[]> {
    const { source } = this.#options;
    const upTo = await this.#end();
    const found = gaps.map(({ collections, ...gap }) => {
      return { ...gap, collections: [...collections], upTo, id: newLostId(source, upTo) };
    });
    const untold = { known, gaps: [...(this.#untold?.gaps ?? []), ...found] };
    await this.#save(this.#saved ?? known, untold);
    this.#untold = untold;
    this.#telling = true;
    this.known = known;
    return found;
  }

  /** What a reading before this one left: it is not known whether the stream has it. */
  resume(): readonly FoundLoss[] {
    if (this.#untold === undefined || this.#telling) return [];
    this.#telling = true;
    this.known = this.#untold.known;
    return this.#untold.gaps;
  }

  /** What was told is done with once all of it is stored for certain: a crash before that tells it again. */
  async recorded(id: string): Promise<void> {
    const untold = this.#untold;
    if (untold?.gaps.at(-1)?.id !== id) return;
    this.#untold = undefined;
    this.#telling = false;
    this.#saved = untold.known;
    await this.#save(untold.known, undefined);
  }

  #save(known: KnownTables, untold: Untold | undefined): Promise<void> {
    return this.#options.save(storable(known), untold && { ...untold, known: storable(untold.known) });
  }

  /** The end of the log: what is committed from here on is published. */
  async #end(): Promise<Position> {
    const { session, from } = this.#options;
    const [row] = await session.query<{ lsn: string }>(`SELECT ${LOG_END}::text AS lsn`);
    return boundaryBefore(historyOf(from), parseLsn(row?.lsn ?? "0/1"));
  }
}
