// What the buses in memory of several workers share, as they would a server: streams, durables, bodies and state.

import { once } from "node:events";
import type { Clock } from "../../clock.ts";
import { isOlderDurable } from "../../event/control.ts";
import { type SourceId, streamName } from "../../event/source-id.ts";
import { MAX_BATCH_MESSAGES, type StreamPort } from "../jetstream/stream/port.ts";
import type { StateStore } from "../state-store.ts";
import type { ConsumeOptions } from "../subscription.ts";
import { MemoryDurable } from "./memory-durable.ts";
import { MemoryStream } from "./memory-stream.ts";

export class MemoryServer {
  readonly state: StateStore = memoryStore();
  readonly schemas: StateStore = memoryStore();
  readonly leases: StateStore = memoryStore();
  readonly streams = new Map<string, MemoryStream>();
  /** The bodies of large events, by name. */
  readonly bodies = new Map<string, Uint8Array>();
  readonly #clock: Clock;
  readonly #made = new EventTarget();
  /** By stream and name. */
  readonly #durables = new Map<string, Map<string, MemoryDurable>>();

  /** @param clock by which messages that were handed out come again */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The stream of this name, made where it is missing. */
  make(name: string, firstSeq = 1): MemoryStream {
    let stream = this.streams.get(name);
    if (stream === undefined) {
      stream = new MemoryStream(this.#clock, firstSeq);
      this.streams.set(name, stream);
      this.#made.dispatchEvent(new Event(name));
    }
    return stream;
  }

  /** The durable, as late as its stream is there; made from its start where it is missing. */
  async durable(stream: string, { durable: name, start, signal, waiting }: ConsumeOptions): Promise<MemoryDurable> {
    const existed = this.streams.has(stream);
    signal.throwIfAborted();
    if (!existed) {
      waiting?.();
      await once(this.#made, stream, { signal });
    }
    const found = this.make(stream);
    const durables = this.#durables.get(stream) ?? new Map<string, MemoryDurable>();
    this.#durables.set(stream, durables);
    const { firstSeq, lastSeq } = found.state;
    // All that a stream holds that was not there at the first look is new.
    const of = (): number => {
      if (typeof start === "number") return start;
      if (start instanceof Date) return found.firstSince(start.getTime());
      return start === "now" && existed ? lastSeq + 1 : firstSeq;
    };
    const durable = durables.get(name) ?? new MemoryDurable(stream, found, this.#clock, of());
    durables.set(name, durable);
    return durable;
  }

  /** Takes away what the same automation had before this durable; resolves to their names. */
  forgetOlder(stream: string, durable: string): readonly string[] {
    const durables = this.#durables.get(stream);
    const older = [...(durables?.keys() ?? [])].filter((name) => isOlderDurable(name, durable));
    for (const name of older) durables?.delete(name);
    return older;
  }

  /** The stream of a source, to be written. @param ask answers a worker for as long as its bus is open */
  port(source: SourceId, ask: <T>(answer: () => T | Promise<T>) => Promise<T>): StreamPort {
    const name = streamName(source);
    const stream = (): MemoryStream | undefined => this.streams.get(name);
    return {
      maxBatchMessages: MAX_BATCH_MESSAGES,
      info: () => ask(() => stream()?.state),
      create: (firstSeq) => ask(() => this.make(name, firstSeq).state),
      read: (seq) => ask(() => stream()?.at(seq)),
      isRemoved: () => ask(() => false),
      readLast: (subject) => ask(() => stream()?.last(subject)),
      readNext: (seq, subject) =>
        ask(() => stream()?.messages.find((one) => one.seq >= seq && one.subject.startsWith(subject.slice(0, -1)))),
      highestDelivered: () => ask(() => 0), // nothing that is stored is ever lost: nobody can have been given more
      send: (batch) => ask(() => this.make(name).append(batch)),
      ping: () => ask(() => undefined),
      onDisruption: () => () => {},
    };
  }
}

/** Values are kept as JSON text, as a bucket has them: nobody holds on to what is stored. */
export function memoryStore(): StateStore {
  const entries = new Map<string, { readonly text: string; readonly revision: number }>();
  let revisions = 0;
  return {
    get: async (key) => {
      const entry = entries.get(key);
      return entry && { value: JSON.parse(entry.text) as unknown, revision: entry.revision };
    },
    put: async (key, value, revision) => {
      if ((entries.get(key)?.revision ?? 0) !== revision) return undefined;
      entries.set(key, { text: JSON.stringify(value), revision: ++revisions });
      return revisions;
    },
    delete: async (key) => {
      entries.delete(key);
    },
    keys: async (prefix) => [...entries.keys()].filter((key) => key.startsWith(prefix)),
  };
}
