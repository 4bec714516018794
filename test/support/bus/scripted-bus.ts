// A scripted bus in virtual time: delays, drops acknowledgements, keeps the batches of dead connections and delivers them
// late, changes leaders (with and without a loss), loses its unsynced tail. It stands for faults that a real server cannot be made to show on
// demand; the writer, the recovery, the lease and the checkpoints that run against it are the real ones.

import type { LeasePort, LeaseRecord } from "../../../src/bus/jetstream/lease/lease.ts";
import {
  type Encoded,
  type PublishAck,
  PublishRefused,
  type StoredMessage,
  type StreamPort,
  type StreamState,
} from "../../../src/bus/jetstream/stream/port.ts";
import type { StateStore } from "../../../src/bus/state-store.ts";
import { TransientError } from "../../../src/errors.ts";
import { VirtualClock } from "../virtual-clock.ts";

/** How many answers never come. */
const DROPPED_ANSWERS = 0.02;

/** Random numbers from a seed, the same ones each time. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  below(n: number): number {
    return Math.floor(this.next() * n);
  }
  chance(p: number): boolean {
    return this.next() < p;
  }
}

export interface Stored {
  readonly subject: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly data: Uint8Array;
}

interface Entry {
  value: unknown;
  revision: number;
}

/** A request under way on a connection. */
interface Request {
  readonly isPublish: boolean;
  /** Executes it at the server; what it returns answers the client, if that still listens. */
  readonly execute: () => (dropped: boolean) => void;
  /** It never gets there, and its client waits in vain. */
  readonly lose: () => void;
}

interface Link {
  alive: boolean;
  readonly requests: Request[];
  readonly answers: ((dropped: boolean) => void)[];
}

export class ScriptedServer {
  readonly random: Random;
  readonly clock = new VirtualClock();
  messages: Stored[] = [];
  created = "t0";
  readonly links: Link[] = [];
  /** How often it is the turn of what was sent on a dead connection, where both wait. */
  late = 0.03;
  /** Each answer comes from now on. */
  dropsNothing = false;
  #kv = new Map<string, Entry>();
  #revision = 0;
  #synced: { messages: Stored[]; kv: Map<string, Entry> } = { messages: [], kv: new Map() };
  /** What a leader that was just elected does not have yet: numbers from here on, for so many questions. */
  #behind = { from: 0, questions: 0 };
  /** The highest sequence that the one consumer was given; it never goes back. */
  delivered = 0;

  constructor(random: Random) {
    this.random = random;
  }

  /** What has been stored so far can no longer be lost. */
  sync(): void {
    this.#synced = {
      messages: [...this.messages],
      kv: new Map([...this.#kv].map(([key, entry]) => [key, { ...entry }])),
    };
  }

  /** The power goes: some or all of what was not synced is lost. (Who calls this cuts the connections; leftovers may still arrive.) */
  losePower(): void {
    const unsynced = this.messages.length - this.#synced.messages.length;
    this.messages.length -= Math.min(unsynced, this.random.chance(0.5) ? unsynced : this.random.below(4));
    if (this.random.chance(0.5)) this.#kv = new Map([...this.#synced.kv].map(([key, entry]) => [key, { ...entry }]));
  }

  /** Another server leads: for a while it does not have the newest messages. */
  elect(): void {
    this.#behind = { from: this.messages.length - this.random.below(6), questions: this.random.below(40) };
  }

  /** What was sent to the leader before never arrives. */
  losePublishes(): void {
    for (const link of this.links) {
      const [lost, kept] = [true, false].map((is) => link.requests.filter(({ isPublish }) => isPublish === is));
      link.requests.splice(0, link.requests.length, ...(kept ?? []));
      for (const { lose } of lost ?? []) lose();
    }
  }

  /** One question for a message; false when the leader does not have it, or not yet. */
  finds(seq: number): boolean {
    const { from, questions } = this.#behind;
    if (seq < from || questions === 0) return seq <= this.messages.length;
    this.#behind.questions--;
    return false;
  }

  /** What is stored under a key. */
  saved(key: string): unknown {
    return this.#kv.get(key)?.value;
  }

  /** What dead connections had sent never arrives. */
  forgetLeftovers(): void {
    for (const link of this.links) if (!link.alive) link.requests.length = 0;
  }

  link(): Link {
    const link: Link = { alive: true, requests: [], answers: [] };
    this.links.push(link);
    return link;
  }

  /** Lets one request of one connection, alive or dead, arrive; or one answer. False when nothing is under way. */
  deliver(): boolean {
    const busy = this.links.filter((link) => link.requests.length > 0 || link.answers.length > 0);
    const pool = busy.filter((link) => link.alive !== this.random.chance(this.late));
    const link = pool[this.random.below(pool.length)] ?? busy[this.random.below(busy.length)];
    if (link === undefined) return false;
    const answerFirst = link.answers.length > 0 && (link.requests.length === 0 || this.random.chance(0.5));
    if (answerFirst) link.answers.shift()?.(!this.dropsNothing && this.random.chance(DROPPED_ANSWERS));
    else {
      const request = link.requests.shift();
      if (request && (link.alive || request.isPublish)) {
        const answer = request.execute();
        if (link.alive) link.answers.push(answer);
      }
    }
    return true;
  }

  publish(batch: readonly Encoded[]): PublishAck {
    const parsed = batch.map(({ subject, headers, data }) => ({ subject, headers: parseHeaders(headers), data }));
    const first = parsed[0];
    if (first === undefined) throw new Error("an empty batch");
    const expected = first.headers.get("Nats-Expected-Last-Sequence");
    if (expected !== undefined && Number(expected) !== this.messages.length) {
      throw new PublishRefused(10071, `wrong last sequence: ${this.messages.length}`);
    }
    const tokenSubject = first.headers.get("Nats-Expected-Last-Subject-Sequence-Subject");
    if (tokenSubject !== undefined) {
      const newest = this.messages.findLastIndex(({ subject }) => subject === tokenSubject) + 1;
      if (Number(first.headers.get("Nats-Expected-Last-Subject-Sequence")) !== newest) {
        throw new PublishRefused(10071, `wrong last sequence of ${tokenSubject}: ${newest}`);
      }
    }
    this.messages.push(...parsed);
    return { seq: this.messages.length, batch: first.headers.get("Nats-Batch-Id"), count: batch.length };
  }

  get(key: string): { value: unknown; revision: number } | undefined {
    const entry = this.#kv.get(key);
    return entry && { value: structuredClone(entry.value), revision: entry.revision };
  }

  put(key: string, value: unknown, revision: number): number | undefined {
    if ((this.#kv.get(key)?.revision ?? 0) !== revision) return undefined;
    this.#kv.set(key, { value: structuredClone(value), revision: ++this.#revision });
    return this.#revision;
  }
}

function parseHeaders(bytes: Uint8Array): ReadonlyMap<string, string> {
  const lines = Buffer.from(bytes).toString("latin1").split("\r\n").slice(1);
  return new Map(
    lines.filter(Boolean).map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
  );
}

/** One process' connection to the scripted server: reconnects by itself, its old requests linger. */
export class ScriptedPort implements StreamPort {
  readonly #server: ScriptedServer;
  readonly #listeners = new Set<() => void>();
  readonly #window: number;
  #inFlight = 0;
  #link: Link;
  readonly #pending = new Set<(error: Error) => void>();
  /** Of those, the batches. */
  readonly #batches = new Set<(error: Error) => void>();
  /** A killed process hears nothing any more. */
  killed = false;
  readonly maxBatchMessages: number;
  /** It has sent lost numbers' markers, and not yet the batch that ends them. */
  filling = false;

  /** @param window above one, so many sends are answered before the server has seen them */
  constructor(server: ScriptedServer, window: number, maxBatchMessages: number) {
    this.#server = server;
    this.#window = window;
    this.maxBatchMessages = maxBatchMessages;
    this.#link = server.link();
  }

  /** The connection goes; what was sent lingers, whoever waits is told. */
  disconnect(): void {
    this.#link.alive = false;
    this.#link.answers.length = 0;
    this.#link = this.#server.link();
    const waiting = [...this.#pending];
    this.#pending.clear();
    if (this.killed) return;
    for (const fail of waiting) fail(new TransientError("BUS_INTERRUPTED", "disconnected"));
    for (const listener of this.#listeners) listener();
  }

  /** Another server leads: whoever waits for the answer to a batch is told, though it may still arrive. */
  hearElection(): void {
    if (this.killed) return;
    const waiting = [...this.#batches];
    this.#batches.clear();
    for (const fail of waiting) fail(new TransientError("BUS_INTERRUPTED", "another server leads the stream"));
    for (const listener of this.#listeners) listener();
  }

  kill(): void {
    this.killed = true;
    this.disconnect();
  }

  info(): Promise<StreamState | undefined> {
    return this.#ask(() => ({ created: this.#server.created, firstSeq: 1, lastSeq: this.#server.messages.length }));
  }

  create(): Promise<StreamState> {
    return Promise.reject(new Error("the scripted stream always exists"));
  }

  read(seq: number): Promise<StoredMessage | undefined> {
    return this.#ask(() => (this.#server.finds(seq) ? this.#stored(seq) : undefined));
  }

  /** Nobody takes anything out of a scripted stream. */
  isRemoved(): Promise<boolean> {
    return this.#ask(() => false);
  }

  readLast(subject: string): Promise<StoredMessage | undefined> {
    return this.#ask(() =>
      this.#stored(this.#server.messages.findLastIndex((message) => message.subject === subject) + 1),
    );
  }

  readNext(seq: number, subject: string): Promise<StoredMessage | undefined> {
    const prefix = subject.slice(0, -1); // it ends with `*`
    return this.#ask(() =>
      this.#stored(this.#server.messages.findIndex((one, nth) => nth + 1 >= seq && one.subject.startsWith(prefix)) + 1),
    );
  }

  highestDelivered(): Promise<number> {
    return this.#ask(() => this.#server.delivered);
  }

  send(batch: readonly Encoded[]): Promise<PublishAck> {
    const sent = this.#sent(this.#ask(() => this.#server.publish(batch), true));
    const expected = /Nats-Expected-Last-Sequence: (\d+)/.exec(
      Buffer.from(batch[0]?.headers ?? []).toString("latin1"),
    )?.[1];
    const isMarker = batch.some(({ subject }) => subject.endsWith(".writer"));
    this.filling = !isMarker && batch.some(({ subject }) => subject.endsWith(".lost"));
    if (isMarker || this.#inFlight + 1 >= this.#window) return sent;
    this.#inFlight++;
    sent.then(
      () => this.#inFlight--,
      () => {
        this.#inFlight--;
        this.disconnect();
      },
    );
    return Promise.resolve({ seq: Number(expected) + batch.length, batch: undefined, count: batch.length });
  }

  ping(): Promise<void> {
    return this.#ask(() => undefined);
  }

  onDisruption(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(key: string): Promise<{ value: unknown; revision: number } | undefined> {
    return this.#ask(() => this.#server.get(key));
  }

  put(key: string, value: unknown, revision: number): Promise<number | undefined> {
    return this.#ask(() => this.#server.put(key, value, revision), true);
  }

  get state(): StateStore {
    return {
      get: (key) => this.get(key),
      put: (key, value, revision) => this.put(key, value, revision),
      delete: async () => {},
      keys: async () => [],
    };
  }

  get leases(): LeasePort {
    return {
      read: async () => {
        const entry = await this.get("lease");
        return entry && { record: entry.value as LeaseRecord, revision: entry.revision };
      },
      write: (record, revision) => this.put("lease", record, revision),
    };
  }

  #stored(seq: number): StoredMessage | undefined {
    const message = this.#server.messages[seq - 1];
    return (
      message && { seq, subject: message.subject, data: message.data, header: (name) => message.headers.get(name) }
    );
  }

  #sent(answer: Promise<PublishAck>): Promise<PublishAck> {
    return new Promise((resolve, reject) => {
      this.#batches.add(reject);
      answer.then(resolve, reject).finally(() => this.#batches.delete(reject));
    });
  }

  #ask<T>(execute: () => T, isPublish = false): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.killed) return;
      this.#pending.add(reject);
      this.#link.requests.push({
        isPublish,
        lose: () => {
          this.#pending.delete(reject);
          reject(new TransientError("BUS_INTERRUPTED", "no answer in time"));
        },
        execute: () => {
          const answer = (settled: () => void) => (dropped: boolean) => {
            this.#pending.delete(reject);
            if (dropped) reject(new TransientError("BUS_INTERRUPTED", "no answer in time"));
            else settled();
          };
          try {
            const value = execute();
            return answer(() => resolve(value));
          } catch (error) {
            return answer(() => reject(error as Error));
          }
        },
      });
    });
  }
}
