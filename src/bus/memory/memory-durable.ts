// The durable of an automation on a stream in memory: what was handed out, when it comes again, and what comes next.

import type { Clock, WakeUp } from "../../clock.ts";
import { retryId, streamName } from "../../event/source-id.ts";
import type { ConsumeOptions } from "../subscription.ts";
import type { MemoryMessage, MemoryStream } from "./memory-stream.ts";

/** One handing-out of a message that is not settled. */
export interface HandedOut {
  readonly message: MemoryMessage;
  /** How often it was handed out by now. */
  readonly count: number;
  /** How many the durable had handed out with it. */
  readonly nth: number;
  /** When it comes again; until then it is whose it is. */
  dueMs: number;
}

export class MemoryDurable {
  readonly clock: Clock;
  /** The stream's name. */
  readonly stream: string;
  readonly #stream: MemoryStream;
  /** By sequence. */
  readonly #handedOut = new Map<number, HandedOut>();
  readonly #waiting = new Set<WakeUp>();
  /** All before this one was handed out, or is of no interest. */
  #next: number;
  #filter: RegExp = /^/;
  #ackWaitMs = 0;
  #given = 0;
  /** Of all that pull an ordered one, the one that is handed something. */
  #puller: object | undefined;

  /** @param start the first sequence that it may hand out */
  constructor(name: string, stream: MemoryStream, clock: Clock, start: number) {
    this.stream = name;
    this.#stream = stream;
    this.clock = clock;
    this.#next = start;
    stream.onStored(() => this.wake());
  }

  /** Its settings follow whoever subscribed last. */
  set({ filters, ackWaitMs }: Pick<ConsumeOptions, "filters" | "ackWaitMs">): void {
    this.#filter = new RegExp(`^(${filters.map(patternOf).join("|")})$`);
    this.#ackWaitMs = ackWaitMs;
  }

  /** Whether it is the one puller, which it becomes where there is none. */
  pulls(subscription: object): boolean {
    this.#puller ??= subscription;
    return this.isPuller(subscription);
  }

  isPuller(subscription: object): boolean {
    return this.#puller === subscription;
  }

  /** Another one may take its place. */
  leave(subscription: object): void {
    if (!this.isPuller(subscription)) return;
    this.#puller = undefined;
    this.wake();
  }

  /** All of its own up to and including this sequence is settled. */
  get settledThrough(): number {
    const unsettled = this.#following()?.seq ?? this.#stream.state.lastSeq + 1;
    return Math.min(unsettled, ...this.#handedOut.keys()) - 1;
  }

  get depth(): { readonly pending: number; readonly unacked: number } {
    const pending = this.#stream.messages.filter(({ seq, subject }) => seq >= this.#next && this.#filter.test(subject));
    return { pending: pending.length, unacked: this.#handedOut.size };
  }

  /** Hands out the next message: the first of those whose time has come again, or a new one. Undefined while there is none. */
  take(): HandedOut | undefined {
    const now = this.clock.now();
    const due = [...this.#handedOut.values()].filter(({ dueMs }) => dueMs <= now);
    const [again] = due.sort((a, b) => a.message.seq - b.message.seq);
    const message = again?.message ?? this.#following();
    if (message === undefined) return undefined;
    const one = { message, count: (again?.count ?? 0) + 1, nth: ++this.#given, dueMs: now + this.#ackWaitMs };
    this.#next = Math.max(this.#next, message.seq + 1);
    this.#handedOut.set(message.seq, one);
    return one;
  }

  /** Whoever has it needs longer, or gives it back for then. */
  postpone(one: HandedOut, byMs: number = this.#ackWaitMs): void {
    one.dueMs = this.clock.now() + byMs;
    this.wake();
  }

  settle(seq: number): void {
    this.#handedOut.delete(seq);
    // That one keeps what waits, and nothing else.
    if (this.stream === streamName(retryId)) this.#stream.remove(seq);
    this.wake();
  }

  /** Whoever waits looks again. */
  wake(): void {
    for (const wakeUp of this.#waiting) wakeUp.set();
  }

  /** Waits until it is set, as it is when there may be something to take. */
  async wait(wakeUp: WakeUp): Promise<void> {
    const now = this.clock.now();
    const later = [...this.#handedOut.values()].map(({ dueMs }) => dueMs - now).filter((ms) => ms > 0);
    const woken = new AbortController();
    if (later.length > 0) {
      const due = this.clock.sleep(Math.min(...later), woken.signal);
      void due.then(() => woken.signal.aborted || wakeUp.set());
    }
    this.#waiting.add(wakeUp);
    await wakeUp.wait();
    this.#waiting.delete(wakeUp);
    woken.abort();
  }

  /** The next message that was never handed out. */
  #following(): MemoryMessage | undefined {
    const { firstSeq, lastSeq } = this.#stream.state;
    for (this.#next = Math.max(this.#next, firstSeq); this.#next <= lastSeq; this.#next++) {
      const message = this.#stream.at(this.#next);
      if (message !== undefined && this.#filter.test(message.subject)) return message;
    }
    return undefined;
  }
}

/** `*` stands for one token, `>` for all that follow. */
function patternOf(filter: string): string {
  const tokens = filter.split(".").map((token) => (token === "*" ? "[^.]+" : token === ">" ? ".+" : token));
  return tokens.join("\\.");
}
