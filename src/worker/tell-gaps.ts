// Tells the stream where a source's log begins and what can never come; of the latter all others too, before its marker is
// stored: docs/decisions/0015 has the argument.

import type { SourceStream } from "../bus/source-stream.ts";
import { comparePlace, type Positions, WHOLE } from "../event/positions.ts";
import { type Marker, markerAt, type SourceEvent } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import type { SourceGap } from "../event/system-event.ts";
import type { Began, Commit, Ended, Lost, Poison, Source } from "../source/source.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { AnnouncedMessage } from "./tell-schemas.ts";

/** What a source hands out once all is told. */
export type ToldMessage = SourceEvent | Commit | Ended | Poison;

/** What of a source a gap is about. */
export interface PartOf {
  readonly partition: string | undefined;
  /** Undefined: all. */
  readonly collections: readonly string[] | undefined;
}

export interface GapTellerOptions {
  readonly source: SourceId;
  readonly reader: Pick<Source, "recorded">;
  /** Where the stream ends when the reading begins. */
  readonly from: Positions | undefined;
  readonly stream: Pick<SourceStream, "newestGap">;
  /** Resolves when the other side of the bus is told. */
  readonly onGap: (gap: SourceGap, of: PartOf) => Promise<void>;
  readonly log: Logger;
}

/** For one reading. */
export class GapTeller {
  readonly #options: GapTellerOptions;
  /** Handed out, and not known to be stored for certain. */
  #pending: readonly Lost[] = [];

  constructor(options: GapTellerOptions) {
    this.#options = options;
  }

  /**
   * A chunk with markers in the place of what the stream lacks, and nothing in the place of what it has. They must be written
   * in one piece with what follows them at their place.
   * @throws TransientError
   */
  async tell(chunk: readonly AnnouncedMessage[]): Promise<readonly ToldMessage[]> {
    const lost = chunk.filter((message) => message.type === "lost");
    // They are stored in this order, though not always in one batch.
    const stored = lost.length === 0 ? undefined : await this.#options.stream.newestGap();
    const known = new Set(lost.slice(0, lost.findIndex(({ id }) => id === stored) + 1));
    this.#pending = [...this.#pending, ...lost];
    const told: ToldMessage[] = [];
    for (const message of chunk) {
      if (message.type === "began") told.push(...(await this.#began(message)));
      else if (message.type !== "lost") told.push(message);
      else if (!known.has(message)) told.push(await this.#lost(message));
    }
    return told;
  }

  /** The stream holds all up to here for certain: what was lost before is done with. @throws TransientError, FencedError */
  async acknowledged(positions: Positions): Promise<void> {
    // A marker repeats a position: it is stored for certain when a later one is.
    const open = this.#pending.findIndex((lost) => comparePlace(lost, positions) >= 0);
    const done = open < 0 ? this.#pending : this.#pending.slice(0, open);
    const newest = done.at(-1);
    if (newest === undefined) return;
    this.#pending = this.#pending.slice(done.length);
    await this.#options.reader.recorded?.(newest.id);
  }

  async #began({ partition, position, details, lost }: Began): Promise<readonly Marker[]> {
    const { source, from } = this.#options;
    if (comparePlace({ partition, position }, from) <= 0) return []; // the stream begins with it, or behind it
    const { code = null, reason = "first start" } = lost ?? {};
    const begin = { ...markerAt(source, "history", position, { ...details, code, reason }), partition };
    if (lost === undefined) return [begin];
    const after = from?.get(partition ?? WHOLE) ?? null;
    const gap = { after, upTo: position, code, reason };
    const phantom = lost.goneBehind && { after: lost.goneBehind, upTo: after };
    await this.#tell(gap, { partition, collections: lost.collections });
    return [{ ...markerAt(source, "gap", position, { ...gap, ...lost.details, phantom }), partition }, begin];
  }

  async #lost({ id, partition, position, code, reason, collections, upTo }: Lost): Promise<Marker> {
    const gap = { after: null, code, reason, collections, upTo };
    await this.#tell(gap, { partition, collections });
    const data = Buffer.from(JSON.stringify(gap));
    return { type: "marker", kind: "gap", id, transaction: undefined, partition, position, data };
  }

  async #tell(gap: SourceGap, of: PartOf): Promise<void> {
    const { source, onGap, log } = this.#options;
    await onGap(gap, of);
    const { code, reason, collections, after, upTo } = gap;
    const where = collections === undefined ? { after, upTo } : { collections };
    log.warn("source_gap", { source, code, ...where }, reason);
  }
}

/** Whether nothing of a chunk has to be told. */
export function isTold(chunk: readonly AnnouncedMessage[]): chunk is readonly ToldMessage[] {
  return !chunk.some(({ type }) => type === "began" || type === "lost");
}
