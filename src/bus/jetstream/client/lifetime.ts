// The life of something that ends once, with a reason, and whose waiters must hear of it.

import { WakeUp } from "../../../clock.ts";

export class Lifetime {
  /** Rejects with the reason at the end; never resolves. */
  readonly failed: Promise<never>;
  readonly #ended = new AbortController();
  readonly #wakeUps: WakeUp[] = [];
  #fail: (reason: Error) => void = () => {};
  #reason: Error | undefined;

  constructor() {
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => {}); // whoever cares races against it; nobody may be there yet
  }

  /** Aborts at the end, with the reason. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  get ended(): boolean {
    return this.#reason !== undefined;
  }

  /** A wake-up that the end sets too. */
  wakeUp(): WakeUp {
    const wakeUp = new WakeUp();
    this.#wakeUps.push(wakeUp);
    return wakeUp;
  }

  /** Waits for it, or for the end. (A race with `failed` would leave something behind at each turn.) @throws the reason */
  async until(wakeUp: WakeUp): Promise<void> {
    if (!this.ended) await wakeUp.wait();
    this.throwIfOver();
  }

  throwIfOver(): void {
    if (this.#reason) throw this.#reason;
  }

  /** Ends it; only the first reason counts. */
  end(reason: Error): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#ended.abort(reason);
    this.#fail(reason);
    for (const wakeUp of this.#wakeUps) wakeUp.set();
  }
}
