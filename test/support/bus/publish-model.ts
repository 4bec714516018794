// The publish and recovery protocol under one random schedule of faults: real workers' code, scripted bus, modelled source.
// A schedule ends in peace; then the stream, the source and a consumer are held against what was committed.

import { EventEncoder } from "../../../src/bus/encode-event.ts";
import { type Checkpoint, checkpointKey } from "../../../src/bus/jetstream/lease/checkpoint-store.ts";
import { memoryKey, StoredConnectorState } from "../../../src/bus/jetstream/lease/connector-state.ts";
import type { openWriter } from "../../../src/bus/jetstream/writer/open-writer.ts";
import type { Writer, WriterItem } from "../../../src/bus/source-stream.ts";
import { TransientError } from "../../../src/errors.ts";
import { dataRefLines } from "../../../src/event/data-ref.ts";
import type { StreamMessage } from "../../../src/event/message.ts";
import type { Position } from "../../../src/event/position.ts";
import { type Positions, positionsFrom } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import type { CheckpointOptions } from "../../../src/worker/checkpoint.ts";
import type { mergeProducer } from "../../../src/worker/merge-producers.ts";
import { encoded } from "./encoded.ts";
import { childBeforeParent, ofMessages, unsaidLoss, unseen, wrongPartition } from "./schedule-verdict.ts";
import { Random, ScriptedPort, ScriptedServer, type Stored } from "./scripted-bus.ts";
import { isCopied, ScriptedProducer } from "./scripted-producer.ts";
import { bodyName, isLarge, type ScriptedReading, ScriptedSource } from "./scripted-source.ts";

/** The code under test; a mutant comes as other functions of the same names. */
export interface Protocol {
  readonly openWriter: typeof openWriter;
  readonly keepCheckpoints: (options: CheckpointOptions) => Promise<void>;
  readonly mergeProducer: typeof mergeProducer;
}

export interface ScheduleOptions {
  readonly seed: number;
  /**
   * Whether the bus may lose what it has not synced. "leftovers": and what was sent to it before may still arrive after
   * that, as over the routes of a cluster; then one or two runs in a thousand end wrong (see docs/reliability.md).
   */
  readonly powerLoss: boolean | "leftovers";
  readonly steps?: number;
  /** How often what dead connections had sent arrives, where the others have something under way too. Default 0.03. */
  readonly late?: number;
  /** Batches that the port lets be in flight at once; one, unless a mutant wants to show why. */
  readonly window?: number;
  /** Bodies of large events are kept apart, and lost apart: what of them was not synced, though the events may stay. */
  readonly largeEvents?: boolean;
  /** Called when bodies are lost. */
  readonly onLostBodies?: (count: number) => void;
  /** Of the source; it has none by itself. */
  readonly partitions?: readonly string[];
  /** Of partitions that begin behind another one's end: whose. */
  readonly parents?: Readonly<Record<string, string>>;
  /** Called when the memory has a partition that is over and a worker is killed before the checkpoint is without it. */
  readonly onKilledEnding?: () => void;
  /** Batches of a copy beside the source's events. */
  readonly copied?: number;
  /** See `ScriptedSource`: only then the stream ever stands inside of a transaction. */
  readonly wide?: boolean;
  /** How many messages an atomic batch may hold; few, to have lost numbers filled in several batches. */
  readonly maxBatchMessages?: number;
  /** Called when a worker is killed between two batches of such a fill. */
  readonly onKilledFilling?: () => void;
}

const source = "model" as SourceId;
const SYNC_MS = 5000;
const TRANSACTIONS = 60;

/** The object store: what was not synced when the power goes is lost. */
class ModelBodies {
  readonly #stored = new Map<string, boolean>();

  put(name: string): void {
    if (!this.#stored.has(name)) this.#stored.set(name, false);
  }

  has(name: string): boolean {
    return this.#stored.has(name);
  }

  sync(): void {
    for (const name of this.#stored.keys()) this.#stored.set(name, true);
  }

  /** Returns how many are gone. */
  losePower(): number {
    const lost = [...this.#stored].filter(([, synced]) => !synced);
    for (const [name] of lost) this.#stored.delete(name);
    return lost.length;
  }
}

class ModelWorker {
  readonly port: ScriptedPort;
  readonly #stop = new AbortController();
  readonly #instance: string;
  readonly #protocol: Protocol;
  readonly #server: ScriptedServer;
  readonly #source: ScriptedSource;
  readonly #producer: ScriptedProducer;
  readonly #bodies: ModelBodies | undefined;
  #writer: Writer | undefined;

  constructor(
    protocol: Protocol,
    server: ScriptedServer,
    scripted: ScriptedSource,
    producer: ScriptedProducer,
    bodies: ModelBodies | undefined,
    instance: string,
    port: ScriptedPort,
  ) {
    this.#producer = producer;
    this.#bodies = bodies;
    this.#protocol = protocol;
    this.#server = server;
    this.#source = scripted;
    this.#instance = instance;
    this.port = port;
    void this.#run();
  }

  /** SIGKILL: nothing is flushed, released or heard of any more; what was sent lingers. */
  kill(): void {
    this.port.kill();
    this.#stop.abort();
    void Promise.resolve(this.#writer?.[Symbol.asyncDispose]()).catch(() => {});
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#attempt(signal);
      } catch {
        // every error is one that the supervisor goes on from; a wrong one shows in the stream
      }
      await this.#server.clock.sleep(500, signal);
    }
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    const { openWriter, keepCheckpoints, mergeProducer } = this.#protocol;
    const { clock, random } = this.#server;
    const { port } = this;
    const memory = new StoredConnectorState(port.state, source);
    const writer = await openWriter(port, source, {
      clock,
      instance: this.#instance,
      leases: port.leases,
      leaseTtlMs: 3000,
      state: port.state,
      memory,
      fsync: SYNC_MS,
      log: silentLogger,
      markerEveryMs: 10_000,
      maxAwayMs: 300_000,
      idleCheckMs: 5000,
      hasBody: async ({ name }) => {
        await clock.sleep(1);
        if (random.chance(0.01)) throw new TransientError("BUS_UNREACHABLE", "no answer about a body");
        return this.#bodies?.has(name) === true;
      },
      prepare: async () => {},
      onRemoved: () => {},
      onForeign: () => {},
      onClosed: async () => {},
      signal,
      on: {},
    });
    this.#writer = writer;
    const reading = { over: new Set(overIn(await memory.load())), told: new Set<string>(), ends: [] };
    const feeding = this.#feed(writer, reading);
    const keeping = keepCheckpoints({
      reader: {
        acknowledge: (positions: Positions) => this.#acknowledge(positions, memory, reading),
      } as CheckpointOptions["reader"],
      writer,
      counts: { saving: () => {}, saved: () => {}, acknowledged: () => {} },
      probe: () => {},
      untilNextSave: () => clock.sleep(300),
    });
    const ended = new AbortController();
    const encoder = new EventEncoder(source);
    const merging = mergeProducer({
      producer: this.#producer,
      writer,
      stream: { encodeCopied: (row, place) => encoder.copied(row, place), maxMessageBytes: Number.POSITIVE_INFINITY },
      schemas: { describe: async () => undefined },
      probe: () => {},
      signal: AbortSignal.any([signal, ended.signal]),
    });
    keeping.catch(() => {});
    feeding.catch(() => {});
    merging.catch(() => {});
    try {
      await Promise.race([feeding, keeping, merging, writer.failed]);
    } finally {
      ended.abort();
      if (!signal.aborted) await writer[Symbol.asyncDispose]();
    }
  }

  /** What is over is in the memory before it is handed out. */
  async #acknowledge(positions: Positions, memory: StoredConnectorState, reading: Reading): Promise<void> {
    if (this.port.killed) return;
    await this.#source.acknowledge(positions);
    for (const end of this.#source.endedAt(positions)) {
      if (reading.told.has(end.partition)) continue;
      if (!reading.over.has(end.partition)) {
        reading.over.add(end.partition);
        await memory.save({ over: [...reading.over] });
      }
      reading.told.add(end.partition);
      reading.ends.push(end);
    }
  }

  /** The body first, acknowledged after a while; its event is in the writer's hands in the same turn. */
  async #writeLarge(writer: Writer, event: StreamMessage, bodies: ModelBodies): Promise<void> {
    const { clock, random } = this.#server;
    if (!isLarge(event.position)) return writer.write([event]);
    const name = bodyName(event.position);
    await clock.sleep(random.below(30));
    if (this.port.killed) return;
    bodies.put(name);
    const ref = { name, sizeBytes: 1, sha256: LARGE_DIGEST };
    await writer.write([{ ...event, head: event.head + dataRefLines(ref), data: new Uint8Array(), ref }]);
  }

  /** Reads the source from where the writer says. */
  async #feed(writer: Writer, reading: Reading): Promise<void> {
    const { resume: from } = writer;
    for await (const chunk of this.#source.read({ from }, reading)) {
      const items = encoded(source, chunk) as WriterItem[];
      if (this.#bodies === undefined) await writer.write(items);
      else
        for (const item of items) {
          if (item.type !== "message") await writer.write([item]);
          else await this.#writeLarge(writer, item, this.#bodies);
        }
    }
  }
}

interface Reading extends ScriptedReading {
  readonly over: Set<string>;
  /** Whose ends were handed out. */
  readonly told: Set<string>;
}

function overIn(memory: Readonly<Record<string, unknown>> | undefined): readonly string[] {
  return (memory?.over ?? []) as readonly string[];
}

const LARGE_DIGEST = "ab".repeat(32);

/** Runs one schedule; resolves to what is wrong at its end, undefined when nothing is. */
export async function runSchedule(protocol: Protocol, options: ScheduleOptions): Promise<string | undefined> {
  const { seed, powerLoss, steps = 1500, window = 1, maxBatchMessages = 1000, onKilledFilling } = options;
  const random = new Random(seed);
  const server = new ScriptedServer(random);
  if (options.late !== undefined) server.late = options.late;
  const { clock } = server;
  const scripted = new ScriptedSource({
    random,
    clock,
    partitions: options.partitions ?? [],
    ...(options.parents && { parents: options.parents }),
    transactions: TRANSACTIONS,
    wide: options.wide === true,
  });
  const producer = new ScriptedProducer({ random, clock, log: scripted, batches: options.copied ?? 0 });
  const bodies = options.largeEvents ? new ModelBodies() : undefined;
  const seen: string[] = [];
  let instances = 0;
  let sinceSyncMs = 0;
  /** The bodies have a timer of their own. */
  let sinceBodySyncMs = bodies ? random.below(SYNC_MS) : 0;
  const start = (): ModelWorker => {
    const port = new ScriptedPort(server, window, maxBatchMessages);
    return new ModelWorker(protocol, server, scripted, producer, bodies, `w${++instances}`, port);
  };
  const workers = [start(), start()];
  const pass = (ms: number): void => {
    server.clock.advance(ms);
    sinceSyncMs += ms;
    sinceBodySyncMs += ms;
    if (sinceBodySyncMs >= SYNC_MS) {
      bodies?.sync();
      sinceBodySyncMs = 0;
    }
    if (sinceSyncMs < SYNC_MS) return;
    server.sync();
    sinceSyncMs = 0;
  };
  const consume = (): void => {
    for (; server.delivered < server.messages.length; server.delivered++) {
      const message = server.messages[server.delivered];
      if (message !== undefined && isEvent(message)) seen.push(message.headers.get("Cdc-Pos") ?? "");
    }
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  for (let step = 0; step < steps; step++) {
    const r = random.next();
    const at = random.below(workers.length);
    const filling = workers.findIndex(({ port }) => port.filling && !port.killed);
    if (r < 0.012) workers[at]?.port.disconnect();
    else if (r < 0.014 || (leftIn(server, options.parents).length > 0 && random.chance(0.02))) {
      if (leftIn(server, options.parents).length > 0) options.onKilledEnding?.();
      workers[at]?.kill();
      workers[at] = start();
    } else if (filling >= 0 && random.chance(0.05)) {
      workers[filling]?.kill();
      workers[filling] = start();
      onKilledFilling?.();
    } else if (r < 0.015) {
      server.clock.advance(2 * SYNC_MS + random.below(5000)); // the server stands still: time passes, nothing syncs
    } else if (r < 0.018 && powerLoss !== false) {
      server.losePower();
      sinceSyncMs = 0;
      if (bodies) options.onLostBodies?.(bodies.losePower());
      for (const worker of workers) worker.port.disconnect();
      if (powerLoss !== "leftovers") server.forgetLeftovers();
    } else if (bodies !== undefined && random.chance(0.0015)) {
      // Another server of the cluster keeps them: its power is gone, and the stream's leader is told to be another one.
      options.onLostBodies?.(bodies.losePower());
      for (const worker of workers) worker.port.disconnect();
    } else if (r < 0.02) {
      if (powerLoss === true && random.chance(0.4)) {
        // The new leader does not have what the old one had acknowledged, and what was under way to that one is gone.
        server.losePower();
        server.losePublishes();
        sinceSyncMs = 0;
      }
      server.elect();
      for (const worker of workers) worker.port.hearElection();
    } else if (r < 0.03) consume();
    else if (r < 0.2) pass(random.below(500));
    else if (!server.deliver()) pass(100);
    await turn();
  }
  const { wanted } = scripted;
  const all = wanted.flat();
  let waited = 0;
  const bodiless = (): Position[] =>
    all.filter((position) => isLarge(position) && bodies?.has(bodyName(position)) === false);
  const ends = new Set(wanted.map((positions) => positions.at(-1)));
  const whole = ofMessages(server, (messages) => {
    const there = messages.filter(isEvent).map(({ headers }) => headers.get("Cdc-Pos") as Position);
    return new Set(there).size >= all.length && ends.has(there.at(-1)) && producer.isDone(messages);
  });
  const caughtUp = (): boolean => whole() && bodiless().length === 0;
  // Where bodies are looked for, or a copy leaves much to be read back, a start asks too often for each try to lose an answer.
  server.dropsNothing = bodies !== undefined || options.copied !== undefined;
  for (; waited < 20_000 && !caughtUp(); waited++) {
    if (!server.deliver()) pass(50);
    if (waited % 20 === 0) pass(20);
    await turn();
  }
  // A recovery that has begun comes to its end, and a mark without a partition that is over to its save.
  const unsaid = ofMessages(server, (messages) => unsaidLoss(messages, source));
  const untold = (): boolean => unsaid() !== undefined || unended(server, options.parents).length > 0;
  // Most ends are told only in peace: workers are killed there too, before the checkpoint is without the partition.
  let kills = 0;
  for (let more = 0; more < 200 || (more < 20_000 && untold()); more++) {
    if (kills < 2 && leftIn(server, options.parents).length > 0 && random.chance(0.02)) {
      kills++;
      options.onKilledEnding?.();
      for (const [nth, worker] of workers.entries()) {
        worker.kill();
        workers[nth] = start();
      }
    }
    if (!server.deliver()) pass(50);
    await turn();
  }
  consume();
  for (const worker of workers) worker.kill();
  await turn();
  const [first] = bodiless();
  if (first !== undefined) return `${bodiless().length} large events without a body, the first is ${first}`;
  const [named] = unended(server, options.parents);
  if (named !== undefined) return `${named} is not over, or the checkpoint still names it`;
  const wrong =
    childBeforeParent(server.messages.filter(isEvent), options.parents ?? {}) ??
    unsaid() ??
    wrongPartition(server.messages.filter(isEvent), options.partitions ?? [undefined], wanted) ??
    producer.wrongIn(server.messages, powerLoss !== false);
  return wrong ?? unseen(all, seen, powerLoss !== false) ?? gapsOf(scripted);
}

/** Partitions that end, and that the memory does not know to be over, or the checkpoint still names. */
function unended(server: ScriptedServer, parents: Readonly<Record<string, string>> = {}): readonly string[] {
  const over = overIn(server.saved(memoryKey(source)) as Readonly<Record<string, unknown>> | undefined);
  const left = leftIn(server, parents);
  return Object.values(parents).filter((partition) => !over.includes(partition) || left.includes(partition));
}

/** Those that the memory knows to be over, and the checkpoint still names. */
function leftIn(server: ScriptedServer, parents: Readonly<Record<string, string>> = {}): readonly string[] {
  const over = overIn(server.saved(memoryKey(source)) as Readonly<Record<string, unknown>> | undefined);
  const checkpoint = server.saved(checkpointKey(source)) as Checkpoint | undefined;
  const named = checkpoint ? positionsFrom(checkpoint.position) : undefined;
  return Object.values(parents).filter((partition) => over.includes(partition) && named?.has(partition) === true);
}

/** Whether it is of the source's log. */
function isEvent({ subject }: Stored): boolean {
  return subject.startsWith("cdc.") && !isCopied(subject);
}

function gapsOf({ gaps }: ScriptedSource): string | undefined {
  return gaps > 0 ? `${gaps} times the source had been acknowledged beyond what the bus could keep` : undefined;
}
