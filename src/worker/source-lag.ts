// How far one source is behind, as four numbers: each of them stays at zero in some fault that another one shows.

import type { Writer } from "../bus/source-stream.ts";
import { laterPositions, type Positions, reaches, withoutPartitions } from "../event/positions.ts";
import type { Source, SourceLag } from "../source/source.ts";

export interface LagFigures {
  /** Written by the database and not yet read for this source. */
  readonly unsentBytes: number | undefined;
  /** Written by the database and not yet acknowledged. */
  readonly unconfirmedBytes: number | undefined;
  /** Since the newest stored transaction was committed; 0 when all that the log held is stored. */
  readonly lagSeconds: number | undefined;
  /** Of the newest heartbeat: from the database's log back to this worker. */
  readonly heartbeatSeconds: number | undefined;
}

const unknown: LagFigures = {
  unsentBytes: undefined,
  unconfirmedBytes: undefined,
  lagSeconds: undefined,
  heartbeatSeconds: undefined,
};

/** Keeps what the figures are made of; all times are ms since 1970. */
export class LagGauge {
  #looked: SourceLag | undefined;
  #readTo: Positions | undefined;
  #caughtUpAt: number | undefined;

  /** Undefined while it cannot be had. */
  looked(lag: SourceLag | undefined): void {
    this.#looked = lag;
  }

  /** A reading begins behind this. */
  begin(from: Positions | undefined): void {
    this.#readTo = from;
  }

  /** All up to here has come out of the log. */
  read(upTo: Positions): void {
    this.#readTo = laterPositions(this.#readTo, upTo);
  }

  /** Partitions are over, and read. */
  ended(partitions: ReadonlySet<string>): void {
    this.#readTo = withoutPartitions(this.#readTo, partitions);
    const looked = this.#looked;
    this.#looked = looked && { ...looked, end: withoutPartitions(looked.end, partitions) ?? new Map() };
  }

  figures({ writer, reader }: { readonly writer: Writer; readonly reader: Source }, now: number): LagFigures {
    if (this.#looked === undefined) return unknown;
    const { unsentBytes, unconfirmedBytes, end } = this.#looked;
    const behind = !reaches(this.#readTo, end) || writer.stalledMs() > 0;
    if (!behind) this.#caughtUpAt = now;
    const committedAt = writer.committedAt();
    // What was committed long ago may be the newest there was until a moment ago.
    const since = Math.max(committedAt ? Date.parse(committedAt) : 0, this.#caughtUpAt ?? 0);
    const lagSeconds = since === 0 ? undefined : Math.max(0, now - since) / 1000;
    return {
      unsentBytes,
      unconfirmedBytes,
      lagSeconds: behind ? lagSeconds : 0,
      heartbeatSeconds: reader.heartbeat?.seconds(),
    };
  }
}
