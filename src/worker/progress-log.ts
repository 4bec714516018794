// Says in the log where a source stands: when it begins to stream, and from time to time while events come.

import { loggedPositions, type PlainPositions } from "../event/positions.ts";
import type { Logger } from "../telemetry/logger.ts";

/** Often enough to see in a log of yesterday when it stopped, and 288 lines on a busy day. */
const EVERY_MS = 5 * 60_000;

/** Of a source's status. */
interface Standing {
  readonly id: string;
  readonly state: string;
  readonly position?: PlainPositions | undefined;
  readonly sequence?: number | undefined;
  readonly published: number;
  readonly unsentBytes?: number | undefined;
  readonly unconfirmedBytes?: number | undefined;
  readonly lagSeconds?: number | undefined;
}

export class ProgressLog {
  readonly #log: Logger;
  #said: { readonly at: number; readonly published: number } | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Called at each change of state and each look at the lag. @param now ms of any steady clock */
  look(status: Standing, now: number): void {
    const { id, state, position, sequence, published, unsentBytes, unconfirmedBytes, lagSeconds } = status;
    if (state !== "running") {
      this.#said = undefined; // said anew when it streams again
      return;
    }
    if (unconfirmedBytes === undefined) return; // not yet looked at
    const silent = this.#said !== undefined && (now - this.#said.at < EVERY_MS || this.#said.published === published);
    if (silent) return;
    this.#log.info(
      "source_progress",
      {
        ...{ source: id, position: position && loggedPositions(position), sequence, published },
        ...{ unsentBytes, unconfirmedBytes, lagSeconds },
      },
      this.#said === undefined ? "streaming" : `${published - this.#said.published} published since the last line`,
    );
    this.#said = { at: now, published };
  }
}
