// What a pull subscription may ask for: so many messages, and so many bytes of them, whatever their size. Two requests may be
// under way, told apart by where they are answered, so that the next messages come while the last of the others do. Pure.

import { MOST_BYTES_IN_HAND } from "../../subscription.ts";

const HALF = MOST_BYTES_IN_HAND / 2;
/** Beside the largest payload: subjects, and where the ack goes. */
const BESIDE_BYTES = 4096;
/** Asks for nothing: no message is so small. */
const NO_BYTES = 1;

/** A pull request, one after the other in the same place. */
export interface Request {
  /** Names its place. */
  readonly slot: number;
  /** Asked for, and not yet sent by the server. */
  messages: number;
  bytes: number;
}

/** What a pull request says of how much it asks for; without `max_bytes`, whatever the size. */
export interface Asked {
  readonly batch: number;
  readonly max_bytes?: number;
}

export interface Wanted {
  /** Messages that may be in hand or asked for. */
  readonly messages: number;
  /** Messages in hand that count in bytes alone. */
  readonly uncounted: number;
  /** The largest payload that the server takes. */
  readonly largest: number;
  /** Whether a request must be there even where there is no room. */
  readonly always: boolean;
}

export class Room {
  readonly requests: readonly Request[] = [0, 1].map((slot) => ({ slot, messages: 0, bytes: 0 }));
  #heldMessages = 0;
  #heldBytes = 0;
  /** The next message is larger than these bytes, which a request had left; 0 while nothing is known. */
  #refused = 0;

  /** Whether something is asked for. */
  get asked(): boolean {
    return this.requests.some(({ messages }) => messages > 0);
  }

  /** The server has sent a message. */
  sent(request: Request, bytes: number): void {
    this.#refused = 0;
    request.messages = Math.max(0, request.messages - 1);
    // What it had left with its last message is free again.
    request.bytes = request.messages === 0 ? 0 : Math.max(0, request.bytes - bytes);
  }

  /** One is in hand from now on. */
  took(bytes: number): void {
    this.#heldMessages++;
    this.#heldBytes += bytes;
  }

  released(bytes: number): void {
    this.#heldMessages--;
    this.#heldBytes -= bytes;
  }

  /** A request is over. @returns `atOnce`, whether it makes sense to ask again at once */
  over(request: Request, atOnce: boolean): boolean {
    [request.messages, request.bytes] = [0, 0];
    return atOnce;
  }

  /** So it is because the next message is larger than what it had left. */
  overByBytes(request: Request): boolean {
    this.#refused = Math.max(this.#refused, request.bytes, 1);
    return this.over(request, request.bytes !== NO_BYTES);
  }

  /** All of them are lost. */
  lost(): void {
    for (const request of this.requests) this.over(request, true);
  }

  /**
   * What to ask for now, which counts as asked from then on; in halves, so that a request is not made for each message.
   * Undefined while there is no room: there may be when something in hand, or a request, has come to its end.
   */
  ask({
    messages,
    uncounted,
    largest,
    always,
  }: Wanted): { readonly request: Request; readonly asked: Asked } | undefined {
    const request = this.requests.find((one) => one.messages === 0);
    if (request === undefined) return undefined;
    let batch = messages - this.#heldMessages + uncounted;
    let bytes = MOST_BYTES_IN_HAND - this.#heldBytes;
    for (const one of this.requests) [batch, bytes] = [batch - one.messages, bytes - one.bytes];
    if (this.asked) {
      if (batch < messages / 2 || bytes < HALF / 2) return undefined;
    } else if (always) {
      batch = Math.max(1, batch);
    }
    const asked = batch > 0 ? this.#asked(batch, bytes, largest, always) : undefined;
    if (asked === undefined) return undefined;
    [request.messages, request.bytes] = [asked.batch, asked.max_bytes ?? 0];
    return { request, asked };
  }

  #asked(batch: number, bytes: number, largest: number, always: boolean): Asked | undefined {
    if (this.#refused === 0 && bytes > 0) return { batch, max_bytes: Math.min(bytes, HALF) };
    if (bytes > 0 && bytes >= this.#enough(largest)) return { batch, max_bytes: bytes };
    if (this.asked) return undefined;
    // It may stand above the bound alone, or beside less than half of that, which may be held for ever.
    if (this.#heldBytes < HALF) return { batch: 1 };
    return always ? { batch: 1, max_bytes: NO_BYTES } : undefined;
  }

  /** For the next message, or worth a try: each one that fails says more of how large it is. */
  #enough(largest: number): number {
    const more = this.#refused * 1.5;
    // What was stored while the server took more is larger than the largest of now.
    return largest + BESIDE_BYTES > this.#refused ? Math.min(largest + BESIDE_BYTES, more) : more;
  }
}
