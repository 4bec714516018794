// The publish and recovery protocol under one random schedule of faults: real workers' code, scripted bus, modelled source.
// A schedule ends in peace; then the stream, the source and a consumer are held against what was committed.

import type { Writer } from "../../../src/bus/bus.ts";
import { StoredConnectorState } from "../../../src/bus/jetstream/lease/connector-state.ts";
import type { openWriter } from "../../../src/bus/jetstream/writer/open-writer.ts";
import { TransientError } from "../../../src/errors.ts";
import { dataRefLines } from "../../../src/event/data-ref.ts";
import type { StreamMessage } from "../../../src/event/message.ts";
import type { Position } from "../../../src/event/position.ts";
import { onlyPosition, type Positions } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import type { CheckpointOptions } from "../../../src/worker/checkpoint.ts";
import { Random, ScriptedPort, ScriptedServer, type Stored } from "./scripted-bus.ts";

/** The code under test; a mutant comes as other functions of the same names. */
export interface Protocol {
  readonly openWriter: typeof openWriter;
  readonly keepCheckpoints: (options: CheckpointOptions) => Promise<void>;
}

export interface ScheduleOptions {
  readonly seed: number;
  /**
   * Whether the bus may lose what it has not synced. "leftovers": and what was sent to it before may still arrive after
   * that, as over the routes of a cluster; then some runs in a hundred thousand end wrong (see docs/reliability.md).
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
  /** How many messages an atomic batch may hold; few, to have lost numbers filled in several batches. */
  readonly maxBatchMessages?: number;
  /** Called when a worker is killed between two batches of such a fill. */
  readonly onKilledFilling?: () => void;
}

const source = "model" as SourceId;
const SYNC_MS = 5000;
const TRANSACTIONS = 60;

const hex = (n: number): string => n.toString(16).padStart(16, "0");
const positionOf = (final: number, change: number, last: boolean): Position =>
  `0001.${hex(final)}.${hex(change)}.r000000${last ? "+" : ""}` as Position;
const finalOf = (position: string): number => Number.parseInt(position.slice(5, 21), 16);

/** The database: transactions with some events each; every third LSN pair leaves room for idle advances. */
class ModelSource {
  readonly transactions: readonly { final: number; changes: number }[];
  /** Exclusive end of what was acknowledged. */
  confirmed = 0;
  gaps = 0;

  constructor(random: Random) {
    this.transactions = Array.from({ length: TRANSACTIONS }, (_, n) => ({
      final: (n + 1) * 16,
      changes: random.chance(0.6) ? 1 : 2 + random.below(3),
    }));
  }

  get events(): string[] {
    return this.transactions.flatMap(({ final, changes }) =>
      Array.from({ length: changes }, (_, n) => positionOf(final, n, n === changes - 1)),
    );
  }
}

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
  readonly #source: ModelSource;
  readonly #bodies: ModelBodies | undefined;
  #writer: Writer | undefined;

  constructor(
    protocol: Protocol,
    server: ScriptedServer,
    modelSource: ModelSource,
    bodies: ModelBodies | undefined,
    instance: string,
    port: ScriptedPort,
  ) {
    this.#bodies = bodies;
    this.#protocol = protocol;
    this.#server = server;
    this.#source = modelSource;
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
    const { openWriter, keepCheckpoints } = this.#protocol;
    const { clock, random } = this.#server;
    const { port } = this;
    const writer = await openWriter(port, source, {
      clock,
      instance: this.#instance,
      leases: port.leases,
      leaseTtlMs: 3000,
      state: port.state,
      memory: new StoredConnectorState(port.state, source),
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
    const feeding = this.#feed(writer);
    const keeping = keepCheckpoints({
      reader: {
        acknowledge: async (positions: Positions) => this.#acknowledge(positions),
      } as CheckpointOptions["reader"],
      writer,
      counts: { saving: () => {}, saved: () => {}, acknowledged: () => {} },
      probe: () => {},
      untilNextSave: () => clock.sleep(300),
    });
    keeping.catch(() => {});
    feeding.catch(() => {});
    try {
      await Promise.race([feeding, keeping, writer.failed]);
    } finally {
      if (!signal.aborted) await writer[Symbol.asyncDispose]();
    }
  }

  #acknowledge(positions: Positions): void {
    const final = finalOf(onlyPosition(positions) ?? "");
    if (!this.port.killed) this.#source.confirmed = Math.max(this.#source.confirmed, final + 1);
  }

  /** The body first, acknowledged after a while; its event is in the writer's hands in the same turn. */
  async #writeLarge(writer: Writer, event: StreamMessage, bodies: ModelBodies): Promise<void> {
    const { clock, random } = this.#server;
    if (!isLarge(event.position)) return writer.write([event]);
    const name = event.position.replace("+", "");
    await clock.sleep(random.below(30));
    if (this.port.killed) return;
    bodies.put(name);
    const ref = { name, sizeBytes: 1, sha256: LARGE_DIGEST };
    await writer.write([{ ...event, head: event.head + dataRefLines(ref), data: new Uint8Array(), ref }]);
  }

  /** Reads the source from where the writer says, and then idles with heartbeats. */
  async #feed(writer: Writer): Promise<void> {
    const { clock, random } = this.#server;
    const from = onlyPosition(writer.resume);
    const start = from === undefined ? 0 : from.endsWith("+") ? finalOf(from) + 1 : finalOf(from);
    if (this.#source.confirmed > (from === undefined ? 0 : finalOf(from) + 1)) this.#source.gaps++;
    for (const { final, changes } of this.#source.transactions) {
      if (final < start) continue;
      const all = Array.from({ length: changes }, (_, n) => eventAt(positionOf(final, n, n === changes - 1)));
      const fresh = all.filter(
        ({ position }) => from === undefined || position.replace("+", "") > from.replace("+", ""),
      );
      if (this.#bodies === undefined) await writer.write(fresh);
      else for (const event of fresh) await this.#writeLarge(writer, event, this.#bodies);
      if (random.chance(0.3)) await writer.write([{ type: "commit", position: positionOf(final + 3, 0, true) }]);
      if (random.chance(0.8)) await clock.sleep(random.below(400));
    }
    const end = (this.#source.transactions.at(-1)?.final ?? 0) + 5;
    for (let beat = 0; ; beat++) {
      await clock.sleep(1000);
      await writer.write([{ type: "commit", position: positionOf(end + beat, 0, true) }]);
    }
  }
}

const LARGE_DIGEST = "ab".repeat(32);
const isLarge = (position: string): boolean => Number.parseInt(position.slice(19, 21), 16) % 3 === 0;

function eventAt(position: Position): StreamMessage {
  const id = `${source}.${position.replace("+", "")}`;
  return {
    type: "message",
    subject: `cdc.${source}.public.t.created.p00`,
    id,
    ref: undefined,
    committedAt: "2026-01-01T00:00:00.000000Z",
    head: `ce-source: /${source}\r\nce-id: ${id}\r\n`,
    data: Buffer.from("{}"),
    partition: undefined,
    position,
  };
}

/** Runs one schedule; resolves to what is wrong at its end, undefined when nothing is. */
export async function runSchedule(protocol: Protocol, options: ScheduleOptions): Promise<string | undefined> {
  const { seed, powerLoss, steps = 1500, window = 1, maxBatchMessages = 1000, onKilledFilling } = options;
  const random = new Random(seed);
  const server = new ScriptedServer(random);
  if (options.late !== undefined) server.late = options.late;
  const modelSource = new ModelSource(random);
  const bodies = options.largeEvents ? new ModelBodies() : undefined;
  const seen: string[] = [];
  let instances = 0;
  let sinceSyncMs = 0;
  /** The bodies have a timer of their own. */
  let sinceBodySyncMs = bodies ? random.below(SYNC_MS) : 0;
  const start = (): ModelWorker => {
    const port = new ScriptedPort(server, window, maxBatchMessages);
    return new ModelWorker(protocol, server, modelSource, bodies, `w${++instances}`, port);
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
      if (message?.subject.startsWith("cdc.")) seen.push(message.headers.get("Cdc-Pos") ?? "");
    }
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  for (let step = 0; step < steps; step++) {
    const r = random.next();
    const at = random.below(workers.length);
    const filling = workers.findIndex(({ port }) => port.filling && !port.killed);
    if (r < 0.012) workers[at]?.port.disconnect();
    else if (r < 0.014) {
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
  const wanted = modelSource.events;
  let waited = 0;
  const stored = (): string[] =>
    server.messages
      .filter(({ subject }) => subject.startsWith("cdc."))
      .map(({ headers }) => headers.get("Cdc-Pos") ?? "");
  const bodiless = (): string[] =>
    wanted.filter((position) => isLarge(position) && bodies?.has(position.replace("+", "")) === false);
  const caughtUp = (): boolean =>
    new Set(stored()).size >= wanted.length && stored().at(-1) === wanted.at(-1) && bodiless().length === 0;
  // Where bodies are looked for a start asks too often for each try to lose an answer.
  server.dropsNothing = bodies !== undefined;
  for (; waited < 20_000 && !caughtUp(); waited++) {
    if (!server.deliver()) pass(50);
    if (waited % 20 === 0) pass(20);
    await turn();
  }
  // A recovery that has begun comes to its end.
  for (let more = 0; more < 200 || (more < 5000 && unsaidLoss(server.messages) !== undefined); more++) {
    if (!server.deliver()) pass(50);
    await turn();
  }
  consume();
  for (const worker of workers) worker.kill();
  await turn();
  const [first] = bodiless();
  if (first !== undefined) return `${bodiless().length} large events without a body, the first is ${first}`;
  return unsaidLoss(server.messages) ?? verdict(wanted, stored(), seen, modelSource, powerLoss !== false);
}

/** Each lost number must be told of by a `history` marker behind it. */
function unsaidLoss(messages: readonly Stored[]): string | undefined {
  const told = messages.flatMap(({ subject, data }, index) => {
    if (subject !== `meta.${source}.history`) return [];
    const { lost } = JSON.parse(Buffer.from(data).toString()) as { readonly lost: { from: number; to: number } };
    return [{ ...lost, seq: index + 1 }];
  });
  const unsaid = messages.findIndex(({ subject }, index) => {
    const seq = index + 1;
    return (
      subject === `meta.${source}.lost` && !told.some((said) => said.from <= seq && seq <= said.to && seq < said.seq)
    );
  });
  return unsaid < 0 ? undefined : `no history marker tells of the lost number ${unsaid + 1}`;
}

function verdict(
  wanted: string[],
  stored: string[],
  seen: string[],
  modelSource: ModelSource,
  powerLoss: boolean,
): string | undefined {
  const missing = wanted.filter((position) => !stored.includes(position));
  if (missing.length > 0) return `${missing.length} missing in the stream, the first is ${missing[0]}`;
  const doubled = stored.filter((position, index) => stored.indexOf(position) !== index);
  if (doubled.length > 0) return `${doubled.length} doubled in the stream, the first is ${doubled[0]}`;
  const swapped = stored.find((position, index) => position !== wanted[index]);
  if (swapped !== undefined) return `out of order at ${swapped}`;
  const unseen = wanted.filter((position) => !seen.includes(position));
  if (unseen.length > 0) return `the consumer never saw ${unseen.length} events, the first is ${unseen[0]}`;
  if (!powerLoss && seen.length !== wanted.length) return `the consumer saw ${seen.length} events of ${wanted.length}`;
  if (modelSource.gaps > 0)
    return `${modelSource.gaps} times the source had been acknowledged beyond what the bus could keep`;
  return undefined;
}
