// A copy makes room for the stream that it stands beside: it waits where that one is near falling off the oplog.

import type { MongoClient } from "mongodb";
import { TransientError } from "../../../errors.ts";
import { duration, percent } from "../../../telemetry/quantities.ts";
import { type ClusterTime, isEarlier } from "../client/position.ts";
import { DropWatch, readOplogIfAllowed } from "../oplog/read-oplog.ts";

/** Of the oplog's window. */
const MOST = 0.7;
const LOOK_MS = 30_000;

export class OplogBound {
  readonly #client: MongoClient;
  readonly #dropWatch = new DropWatch();
  #lookAt = 0;

  constructor(client: MongoClient) {
    this.#client = client;
  }

  /**
   * Looked at again and again: at times, and at once while it is too near.
   * @param at up to where the stream was read
   * @throws TransientError BACKFILL_OPLOG_WINDOW; what the driver throws
   */
  async check(at: ClusterTime): Promise<void> {
    if (performance.now() < this.#lookAt) return;
    const oplog = await readOplogIfAllowed(this.#client);
    if (oplog !== undefined && this.#dropWatch.drops(oplog)) {
      const window = Math.max(1, oplog.newest.t - oplog.oldest.t);
      const behind = Math.max(0, oplog.newest.t - at.t);
      if (isEarlier(at, oplog.oldest) || behind / window >= MOST) throw tooNear(behind, window);
    }
    this.#lookAt = performance.now() + LOOK_MS;
  }
}

function tooNear(behind: number, window: number): TransientError {
  const what = `the stream is ${duration(behind)} behind, ${percent(behind / window)} of what the oplog holds: the copy waits`;
  return new TransientError("BACKFILL_OPLOG_WINDOW", what, {
    hint: "Nothing to do: it goes on when less than 70 % of the window lie between. Where that comes again and again, order the copy with a --rate, or make the oplog larger (replSetResizeOplog).",
  });
}
