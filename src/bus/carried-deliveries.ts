// Deliveries out of MILLRACE_RETRY, told as what they are: the event where it stands, with what came along with it.

import { type Carried, type DecodedRetry, decodeRetry } from "../event/retry-message.ts";
import type { Delivery, Obstacle, StreamGap, Subscription } from "./bus.ts";

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
  #body: Uint8Array | undefined;

  constructor(raw: Delivery, { stream, subject, sequence, run, headers, ...rest }: DecodedRetry) {
    this.#raw = raw;
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

  ack(): Promise<void> {
    return this.#raw.ack();
  }

  retry(delayMs: number): void {
    this.#raw.retry(delayMs);
  }

  working(): void {
    this.#raw.working();
  }

  terminate(reason: string): Promise<void> {
    return this.#raw.terminate(reason);
  }
}

/** A subscription to MILLRACE_RETRY. What something else stored there is handed out as it is: it is no event. */
export class CarriedDeliveries implements Subscription {
  readonly #raw: Subscription;

  constructor(raw: Subscription) {
    this.#raw = raw;
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
    for await (const deliveries of this.#raw) yield deliveries.map(carriedIn);
  }
}

function carriedIn(raw: Delivery): Delivery {
  const decoded = decodeRetry(raw.headers());
  return decoded === undefined ? raw : new CarriedDelivery(raw, decoded);
}
