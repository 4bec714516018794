// A stream in memory: numbered messages, and the rules by which a batch is taken or refused.

import { randomUUID } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { apiCodes } from "../jetstream/client/api-codes.ts";
import {
  type Encoded,
  type PublishAck,
  PublishRefused,
  type StoredMessage,
  type StreamState,
} from "../jetstream/stream/port.ts";

/** An id that was stored within this time is not stored once more. */
const DUPLICATE_WINDOW_MS = 60 * 60_000;

export interface MemoryMessage extends StoredMessage {
  /** By the clock's `now`, when it goes by itself; Infinity where it does not. */
  readonly goesAtMs: number;
  /** By the clock's `wall`. */
  readonly storedAtMs: number;
  /** Name and value of each header line. */
  readonly lines: readonly (readonly [name: string, value: string])[];
}

export class MemoryStream {
  /** Another one of the same name has another. */
  readonly created: string = `${new Date().toISOString()} ${randomUUID()}`;
  /** Undefined where one was taken out. */
  readonly #messages: (MemoryMessage | undefined)[] = [];
  readonly #firstSeq: number;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  /** When a message of this `Nats-Msg-Id` was stored, and as which. */
  readonly #ids = new Map<string, { readonly atMs: number; readonly seq: number }>();

  constructor(clock: Clock, firstSeq = 1) {
    this.#clock = clock;
    this.#firstSeq = firstSeq;
  }

  get state(): StreamState {
    return { created: this.created, firstSeq: this.#firstSeq, lastSeq: this.#firstSeq + this.#messages.length - 1 };
  }

  /** All that it holds, the oldest first. */
  get messages(): readonly MemoryMessage[] {
    return this.#messages.filter((message) => message !== undefined);
  }

  at(seq: number): MemoryMessage | undefined {
    return this.#messages[seq - this.#firstSeq];
  }

  /** The newest message of a subject, or of all that begin with one where `>` is the last token. */
  last(subject: string): MemoryMessage | undefined {
    const under = subject.endsWith(".>") ? subject.slice(0, -1) : undefined;
    const now = this.#clock.now();
    return this.#messages.findLast(
      (message) =>
        message !== undefined &&
        message.goesAtMs > now &&
        (under === undefined ? message.subject === subject : message.subject.startsWith(under)),
    );
  }

  /** The first sequence that was stored then or later; behind the newest one where none was. */
  firstSince(ms: number): number {
    const { lastSeq } = this.state;
    return this.messages.find(({ storedAtMs }) => storedAtMs >= ms)?.seq ?? lastSeq + 1;
  }

  /** Takes a message out: its number stays what it is. */
  remove(seq: number): void {
    if (this.at(seq) !== undefined) this.#messages[seq - this.#firstSeq] = undefined;
  }

  /** Stores a batch as a whole. @throws PublishRefused when its fence does not fit */
  append(batch: readonly Encoded[]): PublishAck {
    const messages = batch.map(({ subject, headers, data }) => ({
      subject,
      lines: linesOf(Buffer.from(headers).toString("latin1")),
      data,
    }));
    const [first] = messages;
    const expected = first && headerOf(first.lines, "Nats-Expected-Last-Sequence");
    refuseUnless(expected, this.state.lastSeq, "wrong last sequence");
    for (const { subject: own, lines } of messages) {
      const subject = headerOf(lines, "Nats-Expected-Last-Subject-Sequence-Subject") ?? own;
      const token = headerOf(lines, "Nats-Expected-Last-Subject-Sequence");
      if (token !== undefined) refuseUnless(token, this.last(subject)?.seq ?? 0, `wrong last sequence of ${subject}`);
    }
    for (const message of messages) this.#push(message.subject, message.lines, message.data);
    for (const listener of this.#listeners) listener();
    const batchId = first && headerOf(first.lines, "Nats-Batch-Id");
    return { seq: this.state.lastSeq, batch: batchId, count: batch.length };
  }

  /** Whether a message of the subject with the head's `Nats-Msg-Id` was stored since then, ms since 1970. */
  holds(subject: string, head: string, since: number): boolean {
    const id = headerOf(linesOf(head), "Nats-Msg-Id");
    if (id === undefined) return false;
    return this.messages.some(
      (one) => one.storedAtMs >= since && one.subject === subject && headerOf(one.lines, "Nats-Msg-Id") === id,
    );
  }

  /** Stores a message that nothing fences, unless one of its `Nats-Msg-Id` was stored lately: then returns the sequence of that one. */
  store(subject: string, head: string, data: Uint8Array): number | undefined {
    const lines = linesOf(head);
    const id = headerOf(lines, "Nats-Msg-Id");
    if (id !== undefined) {
      const now = this.#clock.now();
      const earlier = this.#ids.get(id);
      if (earlier !== undefined && now - earlier.atMs < DUPLICATE_WINDOW_MS) return earlier.seq;
      this.#ids.set(id, { atMs: now, seq: this.state.lastSeq + 1 });
    }
    this.#push(subject, lines, data);
    for (const listener of this.#listeners) listener();
    return undefined;
  }

  /** @param listener called when something was stored. Returns the way to stop. */
  onStored(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #push(subject: string, lines: MemoryMessage["lines"], data: Uint8Array): void {
    const seq = this.state.lastSeq + 1;
    const ttl = headerOf(lines, "Nats-TTL");
    const goesAtMs = ttl === undefined ? Number.POSITIVE_INFINITY : this.#clock.now() + hoursOf(ttl) * 60 * 60_000;
    const header: StoredMessage["header"] = (name) => headerOf(lines, name);
    const storedAtMs = this.#clock.wall();
    this.#messages.push({ seq, subject, lines, data: Uint8Array.from(data), header, goesAtMs, storedAtMs });
  }
}

/** @param ttl `72h`: whole hours are all that is written */
function hoursOf(ttl: string): number {
  return Number(/^(\d+)h$/.exec(ttl)?.[1]);
}

function linesOf(block: string): MemoryMessage["lines"] {
  return block.split("\r\n").flatMap((line) => {
    const colon = line.indexOf(":");
    return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const];
  });
}

function headerOf(lines: MemoryMessage["lines"], name: string): string | undefined {
  return lines.find(([one]) => one === name)?.[1];
}

function refuseUnless(expected: string | undefined, is: number, what: string): void {
  if (expected === undefined || Number(expected) === is) return;
  throw new PublishRefused(apiCodes.wrongLastSequence, `${what}: ${is}`);
}

/** All headers as they came; those of one name as one. */
export function headersOf({ lines }: MemoryMessage): Readonly<Record<string, string>> {
  const all: Record<string, string> = {};
  for (const [name, value] of lines) all[name] = name in all ? `${all[name]}, ${value}` : value;
  return all;
}
