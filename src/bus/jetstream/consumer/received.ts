// What is kept of a message that has come: not the client's object, whose seven views of the socket's bytes would live as long as
// the message is in hand, and be moved by each garbage collection meanwhile.

import type { Msg } from "@nats-io/transport-node";
import { headersOf, parseHead } from "../client/shared-stream.ts";
import { blockText, headerValue, linesStart, sizeOf } from "./header-lines.ts";

export class Received {
  readonly subject: string;
  /** Empty where it has none. */
  readonly reply: string;
  readonly data: Uint8Array;
  /** What the server counts of it: subject, reply, headers and body. */
  readonly bytes: number;
  /** Where its header lines begin in the memory of its body. */
  readonly #start: number | undefined;
  /** Only where they do not: it has none, or they are not where they should be. */
  readonly #message: Msg | undefined;
  #block: string | undefined;

  constructor(message: Msg) {
    this.subject = message.subject;
    this.reply = message.reply ?? "";
    this.data = message.data;
    this.bytes = sizeOf(message);
    this.#start = linesStart(this);
    this.#message = this.#start === undefined ? message : undefined;
  }

  /** The first value of a header, as it came. */
  header(name: string): string | undefined {
    const block = this.#lines();
    if (block !== undefined) return headerValue(block, name);
    const all = this.#message?.headers;
    return all?.has(name) ? all.get(name) : undefined;
  }

  /** All of them as they came. */
  headers(): Readonly<Record<string, string>> {
    const block = this.#lines();
    return headersOf(block === undefined ? this.#message?.headers : parseHead(block));
  }

  #lines(): string | undefined {
    if (this.#start !== undefined) this.#block ??= blockText(this.data, this.#start);
    return this.#block;
  }
}
