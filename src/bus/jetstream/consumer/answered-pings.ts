// When the bus surely heard of us last: what arrives behind the answer to a ping was sent after that ping.

import type { NatsConnection } from "@nats-io/transport-node";
import { realClock } from "../../../clock.ts";

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
