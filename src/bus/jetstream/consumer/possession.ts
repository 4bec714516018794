// Whether a message that the server handed out is still ours: by our own clock, since nobody tells us when it no longer is.

import type { NatsConnection } from "@nats-io/transport-node";
import { realClock } from "../../../clock.ts";

/** The part of the server's wait for a sign of life that a word may need to get there. */
const MARGIN_SHARE = 1 / 6;
/** How often within that time it must be known that the server hears us. */
export const PINGS_PER_ACK_WAIT = 6;

export class Possession {
  readonly #pings: Pick<AnsweredPings, "sentMs">;
  readonly #lastsMs: number;
  /** The server counts from here on, or from later. */
  #sinceMs: number;
  /** When it was extended, where it is not known yet whether the server heard of it. */
  #extendedMs: number | undefined;

  /** Begins with what has just arrived. @param ackWaitMs what the server waits for a sign of life */
  constructor(pings: Pick<AnsweredPings, "sentMs">, ackWaitMs: number) {
    this.#pings = pings;
    this.#lastsMs = ackWaitMs * (1 - MARGIN_SHARE);
    this.#sinceMs = pings.sentMs;
  }

  get ours(): boolean {
    if (this.#extendedMs !== undefined && this.#extendedMs <= this.#pings.sentMs) {
      this.#sinceMs = this.#extendedMs;
      this.#extendedMs = undefined;
    }
    return realClock.now() < this.#sinceMs + this.#lastsMs;
  }

  /** A sign of life is about to be sent; one that is sent too late extends nothing. */
  extend(): void {
    this.#extendedMs ??= realClock.now();
  }
}

export class AnsweredPings {
  readonly #nc: NatsConnection;
  readonly #timer: NodeJS.Timeout;
  /** When the newest ping that was answered had been sent, by the steady clock; before the first one, when this began. */
  #sentMs: number = realClock.now();

  constructor(nc: NatsConnection, everyMs: number) {
    this.#nc = nc;
    this.#timer = setInterval(() => void this.#ping(), everyMs);
    this.#timer.unref();
  }

  /** The server had not sent before this what arrives now, and had all by this that was told it before. */
  get sentMs(): number {
    return this.#sentMs;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #ping(): Promise<void> {
    if (this.#nc.isClosed()) this.stop();
    if (this.#nc.isClosed() || this.#nc.isDraining()) return;
    const sentMs = realClock.now();
    // Rejected when the connection ends before the answer: that one tells nothing.
    await this.#nc.flush().then(
      () => {
        this.#sentMs = Math.max(this.#sentMs, sentMs);
      },
      () => {},
    );
  }
}
