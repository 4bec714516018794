// A Postgres source alone, without worker and bus: opened with a memory of its own, read in the background.

import { memoryStore } from "../../../src/bus/memory/memory-server.ts";
import type { StateStore } from "../../../src/bus/state-store.ts";
import type { StreamMessage } from "../../../src/event/message.ts";
import type { Position } from "../../../src/event/position.ts";
import { isComplete } from "../../../src/event/position.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { SchemaBook } from "../../../src/schema/schema-book.ts";
import { postgresConnector } from "../../../src/source/postgres/connector.ts";
import type { ConnectorState, Source, SourceContext } from "../../../src/source/source.ts";
import { type LogEvent, type Logger, silentLogger } from "../../../src/telemetry/logger.ts";
import { lossPolicy, startOver } from "../../../src/worker/loss-policy.ts";
import { GapTeller } from "../../../src/worker/tell-gaps.ts";
import { readAnnounced } from "../../../src/worker/tell-schemas.ts";
import { type EncodedMessage, encoded } from "../bus/encoded.ts";
import { waitFor } from "../wait-for.ts";
import { reached } from "./transactions.ts";

type Saved = Readonly<Record<string, unknown>>;

const ANNOUNCED = "meta.shop.schema";

/** What the sources of tests take for sealed. */
export const LINEAGE_KEY = "of the tests";
export const SHOP = "shop" as SourceId;

/** Keeps what a source saves. `onSave` may throw: a crash at that place. */
export class TestMemory implements ConnectorState {
  value: Saved | undefined;
  readonly saves: Saved[] = [];
  /** Versions of tables. */
  readonly schemas: StateStore = memoryStore();
  onSave: (value: Saved) => void = () => {};

  constructor(value?: Saved) {
    this.value = value;
  }

  async load(): Promise<Saved | undefined> {
    return this.value;
  }

  async save(value: Saved): Promise<void> {
    this.onSave(value);
    this.saves.push(value);
    this.value = value;
  }
}

export interface TestSource extends Source {
  readonly schemas: SchemaBook;
  readonly memory: TestMemory;
  readonly context: SourceContext;
  readonly logged: { readonly event: LogEvent; readonly text: string | undefined }[];
}

export interface OpenOptions {
  readonly memory?: TestMemory;
  readonly adopt?: boolean;
  /** Options of the source, over `tables: ["public.*"]`. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/** As an attempt of a worker does. */
export async function openShop(url: string, { memory, adopt, options }: OpenOptions = {}): Promise<TestSource> {
  const logged: TestSource["logged"] = [];
  const record = (event: LogEvent, _fields?: unknown, text?: string): void => {
    logged.push({ event, text });
  };
  const log: Logger = { debug: record, info: record, warn: record, error: record };
  const kept = memory ?? new TestMemory();
  const config = postgresConnector.parse({ url, ...options }, "sources.shop");
  const context: SourceContext = {
    memory: kept,
    log,
    ...lossPolicy(adopt ?? false, config.onGap),
    lineageKey: async () => LINEAGE_KEY,
    count: () => {},
  };
  const schemas = new SchemaBook({ source: SHOP, store: kept.schemas, lease: 1 });
  await postgresConnector.preflight(SHOP, config, context);
  const source = await postgresConnector.open(SHOP, config, context, schemas);
  return Object.assign(source, { memory: kept, context, schemas, logged });
}

/** Reads a source until it is stopped. */
export class Reading {
  readonly messages: EncodedMessage[] = [];
  /** With what the reading ended, once it has; undefined when it was stopped. */
  readonly ended: Promise<unknown>;
  failure: unknown;
  readonly #source: TestSource;
  readonly #gaps: GapTeller;
  readonly #stop = new AbortController();
  #paused: Promise<void> = Promise.resolve();

  constructor(source: TestSource, from?: Position) {
    this.#source = source;
    this.#gaps = new GapTeller({
      source: SHOP,
      reader: source,
      from: from && reached(from),
      stream: { newestGap: async () => undefined },
      onGap: async () => {},
      log: silentLogger,
    });
    this.ended = this.#read(from).catch((error: unknown) => {
      this.failure = error;
      return error;
    });
  }

  /** Events and markers, without what the stream is told of versions. */
  get events(): readonly StreamMessage[] {
    return this.#published.filter(({ subject }) => subject !== ANNOUNCED);
  }

  /** What the stream is told of versions. */
  get announcements(): readonly StreamMessage[] {
    return this.#published.filter(({ subject }) => subject === ANNOUNCED);
  }

  get #published(): readonly StreamMessage[] {
    return this.messages.filter((message) => message.type === "message");
  }

  /** Of row events alone, in order. */
  get bodies(): readonly Readonly<Record<string, unknown>>[] {
    return this.#rows.map(({ data }) => JSON.parse(Buffer.from(data).toString("utf8")));
  }

  get #rows(): readonly StreamMessage[] {
    return this.events.filter(({ subject }) => subject.startsWith("cdc."));
  }

  get last(): Position | undefined {
    return this.messages.at(-1)?.position;
  }

  /** Pulls nothing until the promise is settled. */
  pauseUntil(promise: Promise<void>): void {
    this.#paused = promise;
  }

  /** Waits for row events. @throws when the reading ends before */
  async rows(count: number): Promise<readonly Readonly<Record<string, unknown>>[]> {
    // Their bodies are read once: each time it is looked, that would keep the process from the server for seconds.
    await this.until(() => this.#rows.length >= count, `${count} rows`);
    return this.bodies;
  }

  async until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const done = await waitFor(async () => this.failure !== undefined || ((await condition()) && "met"), { what });
    if (done !== "met") throw this.failure;
  }

  /** Acknowledges the newest complete position of all. */
  async acknowledge(): Promise<Position> {
    const position = this.messages.map((message) => message.position).findLast(isComplete);
    if (position === undefined) throw new Error("nothing to acknowledge");
    this.#source.schemas.acknowledged(reached(position));
    await this.#gaps.acknowledged(reached(position));
    await this.#source.acknowledge(reached(position));
    return position;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    const failure = await this.ended;
    if (failure !== undefined) throw failure;
  }

  async #read(from: Position | undefined): Promise<undefined> {
    const { signal } = this.#stop;
    const { context, schemas } = this.#source;
    const onEnded = (thrown: unknown) => startOver(this.#source, context, thrown);
    for await (const chunk of readAnnounced(this.#source, schemas, { from: from && reached(from), signal, onEnded })) {
      this.messages.push(...encoded(SHOP, await this.#gaps.tell(chunk)));
      await this.#paused;
    }
    return undefined;
  }
}

/** What a promise is rejected with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: unknown) => error,
  );
}
