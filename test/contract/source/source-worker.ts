// A worker that reads one source for a bus by the whole road: supervisor, pump, writer, checkpoints. It can be killed at any
// place where a crash must do no harm.

import { ordersOf } from "../../../src/backfill/order.ts";
import type { Bus } from "../../../src/bus/bus.ts";
import {
  type Checkpoint,
  checkpointKey,
  type IdlePlaces,
  idleKey,
} from "../../../src/bus/jetstream/lease/checkpoint-store.ts";
import { memoryKey } from "../../../src/bus/jetstream/lease/connector-state.ts";
import type { SourceStream } from "../../../src/bus/source-stream.ts";
import type { Clock } from "../../../src/clock.ts";
import { TransientError } from "../../../src/errors.ts";
import { laterPositions, type Positions, placesBehind, positionsFrom } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { gapEvent, type SourceGap } from "../../../src/event/system-event.ts";
import type { Connector } from "../../../src/source/connector.ts";
import type { Source, SourceContext, ToldSchemas } from "../../../src/source/source.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import type { SourceCounts } from "../../../src/telemetry/source-metrics.ts";
import type { CrashPoint } from "../../../src/worker/probe.ts";
import { SourceTracker } from "../../../src/worker/source-status.ts";
import { superviseSource } from "../../../src/worker/supervise-source.ts";
import type { SourceDatabase } from "./source-server.ts";

/** Where a worker can be killed: the product's own crash points, and around all that the connector keeps and is told. */
export const killPoints = [
  "mid-transaction",
  "body-stored",
  "after-publish",
  "before-save",
  "after-save",
  "before-acknowledge",
  "after-acknowledge",
  "before-remember",
  "after-remember",
  "after-handed-out-an-end",
  "before-told-of-a-gap",
  "after-told-of-a-gap",
] as const;
export type KillPoint = (typeof killPoints)[number];

export interface WorkerSettings {
  readonly adopt?: boolean;
  readonly onGap?: "stop" | "continue";
  /** Killed when it gets there, for the n-th time. */
  readonly kill?: { readonly at: KillPoint; readonly nth: number };
}

export interface ContractWorkerOptions {
  readonly id: SourceId;
  readonly database: Pick<SourceDatabase, "section">;
  readonly connector: Connector<unknown>;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly settings: WorkerSettings;
}

export class ContractWorker {
  readonly tracker: SourceTracker;
  readonly counts: SourceCounts;
  /** Settles when it has ended, to what ended it. */
  readonly ended: Promise<unknown>;
  /** Acknowledgements of what was not saved. */
  readonly early: string[] = [];
  killed = false;
  /** Gaps that it has told of. */
  readonly gaps: SourceGap[] = [];
  readonly #options: ContractWorkerOptions;
  readonly #stop = new AbortController();
  readonly #reached = new Map<KillPoint, number>();
  #source: Source | undefined;

  constructor(options: ContractWorkerOptions) {
    const { id, database, connector, bus, clock, settings } = options;
    this.#options = options;
    this.counts = createMetrics().source(id);
    const config = connector.parse(
      database.section(settings.onGap === undefined ? {} : { onGap: settings.onGap }),
      `sources.${id}`,
    );
    this.tracker = new SourceTracker({ id, kind: connector.kind, counts: this.counts, clock, log: silentLogger });
    this.ended = superviseSource({
      tracker: this.tracker,
      stream: this.#stream(),
      maxEventBytes: 1024 * 1024,
      preflight: (context) => connector.preflight(id, config, context),
      open: (context, schemas) => this.#open(config, context, schemas),
      schemas: bus.schemas,
      backfillOrders: ordersOf(bus.state, id),
      deadLetter: bus.deadLetter.bind(bus),
      announceGap: async (gap) => {
        this.#at("before-told-of-a-gap");
        await bus.publish(gapEvent(id, gap));
        this.gaps.push(gap);
        this.#at("after-told-of-a-gap");
      },
      lineageKey: async () => "of the tests",
      adopt: settings.adopt ?? false,
      onGap: connector.onGap(config),
      // Nothing is copied here.
      probe: (point: CrashPoint) => void (point !== "mid-backfill-chunk" && this.#at(point)),
      clock,
      log: silentLogger,
      saveEveryMs: 100,
      lagEveryMs: 500,
      signal: this.#stop.signal,
    }).catch((error: unknown) => error);
  }

  /** Drains, and gives all back. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.ended;
  }

  /** As SIGKILL: from now on nothing of it is stored, saved or told, and its connections are gone. */
  kill(): void {
    if (this.killed) return;
    this.killed = true;
    void this.#options.bus[Symbol.asyncDispose]();
    this.#stop.abort();
    void Promise.resolve(this.#source?.[Symbol.asyncDispose]()).catch(() => {});
  }

  /** Whether it is killed or not. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.ended;
  }

  #at(point: KillPoint): void {
    const { kill } = this.#options.settings;
    const nth = (this.#reached.get(point) ?? 0) + 1;
    this.#reached.set(point, nth);
    if (kill?.at === point && kill.nth === nth) this.kill();
    if (this.killed) throw new TransientError("KILLED", "this worker is dead");
  }

  /** What its source has put on record. */
  async saved(): Promise<Readonly<Record<string, unknown>> | undefined> {
    const { bus, id } = this.#options;
    return bus.stream(id).loadMemory();
  }

  #stream(): SourceStream {
    const { bus, id } = this.#options;
    const stream = bus.stream(id);
    const saveMemory: SourceStream["saveMemory"] = async (value) => {
      this.#at("before-remember");
      await stream.saveMemory(value);
      this.#at("after-remember");
    };
    return Object.create(stream, { saveMemory: { value: saveMemory } }) as SourceStream;
  }

  async #open(config: unknown, context: SourceContext, schemas: ToldSchemas): Promise<Source> {
    const { connector, id } = this.#options;
    const source = await connector.open(id, config, context, schemas);
    this.#source = source;
    const acknowledge: Source["acknowledge"] = async (positions) => {
      const unsaved = placesBehind(positions, await this.#saved());
      if (this.killed) return; // it is dead
      if (unsaved !== undefined) this.early.push(JSON.stringify([...unsaved]));
      await source.acknowledge(positions);
      this.#at("after-acknowledge");
    };
    // What is pulled behind a chunk is pulled when the writer has that.
    const at = (): void => this.#at("after-handed-out-an-end");
    const read: Source["read"] = async function* (options) {
      for await (const chunk of source.read(options)) {
        yield chunk;
        if (chunk.some(({ type }) => type === "ended")) at();
      }
    };
    // Not itself: its methods may need to be called on it.
    return new Proxy(source, {
      get: (target, name) => {
        if (name === "acknowledge") return acknowledge;
        if (name === "read") return read;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** How many partitions a start would go on from, by what is saved, and how large that and the memory of the source are. */
  async kept(): Promise<{ readonly partitions: number; readonly bytes: number }> {
    const { bus, id } = this.#options;
    const values = await Promise.all([checkpointKey(id), idleKey(id), memoryKey(id)].map((key) => bus.state.get(key)));
    const bytes = values.reduce((sum, entry) => sum + JSON.stringify(entry?.value ?? null).length, 0);
    return { partitions: (await this.#saved())?.size ?? 0, bytes };
  }

  /** What is on record by now, of what is saved. */
  async #saved(): Promise<Positions | undefined> {
    const { bus, id } = this.#options;
    const checkpoint = (await bus.state.get(checkpointKey(id)))?.value as Checkpoint | undefined;
    const idle = (await bus.state.get(idleKey(id)))?.value as IdlePlaces | undefined;
    const places = [...(checkpoint ? [checkpoint] : []), ...(idle?.places ?? [])];
    return places.reduce<Positions | undefined>(
      (later, { position }) => laterPositions(positionsFrom(position), later),
      undefined,
    );
  }
}
