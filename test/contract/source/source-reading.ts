// Reads a source by hand, as a worker's pump would, and keeps all that it hands out.

import { newestOf, type Place, type Positions, WHOLE } from "../../../src/event/positions.ts";
import type { Change } from "../../../src/event/source-event.ts";
import type { Source, SourceMessage } from "../../../src/source/source.ts";

export class SourceReading {
  readonly chunks: (readonly SourceMessage[])[] = [];
  /** Whether the database has agreed to send. */
  started = false;
  /** Resolves when the reading has ended, to what it threw. */
  readonly ended: Promise<unknown>;
  over = false;
  readonly #stop = new AbortController();
  #held: Promise<void> = Promise.resolve();
  #release: () => void = () => {};

  constructor(source: Pick<Source, "read">, from?: Positions) {
    this.ended = this.#read(source, from)
      .catch((error: unknown) => error)
      .finally(() => {
        this.over = true;
      });
  }

  get messages(): readonly SourceMessage[] {
    return this.chunks.flat();
  }

  get changes(): readonly Change[] {
    return this.messages.filter((message) => message.type === "change");
  }

  /** What has a place: all but descriptions that have none. */
  get placed(): readonly Exclude<SourceMessage, { type: "described" }>[] {
    return this.messages.filter((message) => message.type !== "described");
  }

  /** How far it has come. */
  get reached(): Positions | undefined {
    return newestOf(this.placed);
  }

  /** Pulls nothing more, until `goOn`. */
  hold(): void {
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  goOn(): void {
    this.#release();
  }

  abort(): void {
    this.#stop.abort();
  }

  async stop(): Promise<void> {
    this.goOn();
    this.abort();
    await this.ended;
  }

  async #read(source: Pick<Source, "read">, from: Positions | undefined): Promise<undefined> {
    const onStarted = (): void => {
      this.started = true;
    };
    for await (const chunk of source.read({ from, signal: this.#stop.signal, onStarted })) {
      this.chunks.push(chunk);
      await this.#held;
    }
    return undefined;
  }
}

/** What is the same whenever the log is read. */
export function factsOf(message: SourceMessage): unknown {
  const { type, position, partition } = message;
  if (type === "change") {
    const { kind, key, lane, transaction, data } = message;
    const { namespace, collection, op } = kind;
    return { type, position, partition, namespace, collection, op, key, lane, transaction, text: textOf(data) };
  }
  if (type === "domain" || type === "marker")
    return { type, position, partition, id: message.id, text: textOf(message.data) };
  return { type, position, partition };
}

/** By partition, in its order. */
export function byPartition<Item extends Pick<Place, "partition">>(
  items: readonly Item[],
): ReadonlyMap<string, readonly Item[]> {
  const parts = new Map<string, Item[]>();
  for (const item of items) {
    const name = item.partition ?? WHOLE;
    parts.set(name, [...(parts.get(name) ?? []), item]);
  }
  return parts;
}

/** The key of the row that a change is about: of a composite one, the part that the contract has made. */
export function keyOf(data: Uint8Array | string): string {
  const text = typeof data === "string" ? data : textOf(data);
  const { key } = JSON.parse(text) as { readonly key: Readonly<Record<string, string>> };
  return Object.values(key).find((part) => /^\d+-/.test(part)) ?? "";
}

/** Keys line by line, in their order. */
export function byLine(keys: readonly string[], lines: number): readonly string[][] {
  return Array.from({ length: lines }, (_, line) => keys.filter((key) => key.startsWith(`${line}-`)));
}

function textOf(data: Uint8Array): string {
  return Buffer.from(data).toString();
}
