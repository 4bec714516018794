// Deliveries out of MILLRACE_RETRY, told as what they are: the event where it stands, with what came along with it.

import { TransientError } from "../errors.ts";
import { type Carried, type DecodedRetry, decodeRetry } from "../event/retry-message.ts";
import type { Delivery, Obstacle, StreamGap, Subscription } from "./subscription.ts";

/** What a message of MILLRACE_RETRY holds, in the hands of an automation. */
class CarriedDelivery implements Delivery {
  readonly stream: string;
  readonly subject: string;
  readonly sequence: number;
  readonly run: string | undefined;
  readonly carried: Carried;
  /** Events of many places come one after the other. */
  readonly follows: undefined = undefined;
  readonly #raw: Delivery;
  readonly #headers: Readonly<Record<string, string>>;
  /** How often the bus had been interrupted when it was handed out, or looked for last. */
  #lookedAt: number;
  readonly #interruptions: () => number;
  #body: Uint8Array | undefined;

  constructor(
    raw: Delivery,
    interruptions: () => number,
    { stream, subject, sequence, run, headers, ...rest }: DecodedRetry,
  ) {
    this.#raw = raw;
    this.#interruptions = interruptions;
    this.#lookedAt = interruptions();
    this.stream = stream;
    this.subject = subject;
    this.sequence = sequence;
    this.run = run;
    this.#headers = headers;
    this.carried = { ...rest, at: raw.sequence };
  }

  get data(): Uint8Array {
    return this.#body ?? this.#raw.data;
  }

  get again(): boolean {
    return this.#raw.again;
  }

  get remade(): boolean {
    return this.#raw.remade;
  }

  get ours(): boolean {
    return this.#raw.ours;
  }

  get free(): boolean {
    return this.#raw.free;
  }

  header(name: string): string | undefined {
    return this.#headers[name];
  }

  headers(): Readonly<Record<string, string>> {
    return this.#headers;
  }

  withBody(data: Uint8Array): void {
    this.#body = data;
  }

  succeed(older: Delivery): void {
    if (older instanceof CarriedDelivery) this.#raw.succeed(older.#raw);
  }

  regained(withinMs: number): Promise<boolean> {
    return this.#raw.regained(withinMs);
  }

  stands(): Promise<boolean> {
    return this.#raw.stands();
  }

  async ack(): Promise<void> {
    await this.#look();
    await this.#raw.ack();
  }

  retry(delayMs: number): void {
    this.#raw.retry(delayMs);
  }

  working(): void {
    this.#raw.working();
  }

  async terminate(reason: string): Promise<void> {
    await this.#look();
    await this.#raw.terminate(reason);
  }

  /** A server that was set back may have given the number to another message since: that one must not be settled by this one's. */
  async #look(): Promise<void> {
    const interruptions = this.#interruptions();
    if (interruptions === this.#lookedAt) return;
    if (!(await this.#raw.stands())) {
      this.#raw.retry(0);
      throw new TransientError("BUS_RETRY_GONE", "what waited for its retry is no longer in MILLRACE_RETRY", {
        hint: "nothing to do: the bus was set back, and the event is handed out again where it stands",
      });
    }
    this.#lookedAt = interruptions;
  }
}

/** A subscription to MILLRACE_RETRY. What something else stored there is handed out as it is: it is no event. */
export class CarriedDeliveries implements Subscription {
  /** They are many places' events: their order is that of the lanes where these stand. */
  readonly whole: undefined = undefined;
  readonly #raw: Subscription;
  readonly #interruptions: () => number;

  /** @param interruptions as of `Bus` */
  constructor(raw: Subscription, interruptions: () => number) {
    this.#raw = raw;
    this.#interruptions = interruptions;
  }

  get madeAgain(): string | undefined {
    return this.#raw.madeAgain;
  }

  obstacle(): Obstacle | undefined {
    return this.#raw.obstacle();
  }

  missed(): Promise<StreamGap | undefined> {
    return this.#raw.missed();
  }

  settledThrough(): number {
    return this.#raw.settledThrough();
  }

  accept(gap: StreamGap): Promise<void> {
    return this.#raw.accept(gap);
  }

  depth(): Promise<{ readonly pending: number; readonly unacked: number }> {
    return this.#raw.depth();
  }

  abandon(): void {
    this.#raw.abandon();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<readonly Delivery[]> {
    for await (const deliveries of this.#raw) yield deliveries.map((one) => carriedIn(one, this.#interruptions));
  }
}

function carriedIn(raw: Delivery, interruptions: () => number): Delivery {
  const decoded = decodeRetry(raw.headers());
  return decoded === undefined ? raw : new CarriedDelivery(raw, interruptions, decoded);
}
