// Whole workers under one random schedule of faults: supervisor, pump, writer and recovery between a scripted source and a
// scripted bus.
// A schedule ends in peace; then the stream, the source and a consumer are held against what was committed.

import { type Checkpoint, checkpointKey } from "../../../src/bus/jetstream/lease/checkpoint-store.ts";
import { memoryKey } from "../../../src/bus/jetstream/lease/connector-state.ts";
import type { Clock } from "../../../src/clock.ts";
import { dataRefOf } from "../../../src/event/data-ref.ts";
import type { Position } from "../../../src/event/position.ts";
import { positionsFrom } from "../../../src/event/positions.ts";
import { childBeforeParent, ofMessages, unsaidLoss, unseen, wrongPartition } from "../bus/schedule-verdict.ts";
import { Random, ScriptedPort, ScriptedServer, type Stored } from "../bus/scripted-bus.ts";
import { MAX_MESSAGE_BYTES, MODEL, ModelBodies, ModelWorker, type Protocol, SYNC_MS } from "./model-worker.ts";
import { ScriptedDatabase } from "./scripted-database.ts";

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
  /** How many messages an atomic batch may hold; few, to have lost numbers filled in several batches. */
  readonly maxBatchMessages?: number;
  /** Called when a worker is killed between two batches of such a fill. */
  readonly onKilledFilling?: () => void;
  /** Called with the stream at its end. */
  readonly onStream?: (stream: readonly Stored[]) => void;
}

const TRANSACTIONS = 60;
/** How often a transaction without rows tells where the log is. */
const BEAT_MS = 1000;

/** Runs one schedule; resolves to what is wrong at its end, undefined when nothing is. The same for the same seed. */
export async function runWorkers(protocol: Protocol, options: ScheduleOptions): Promise<string | undefined> {
  const random = new Random(options.seed);
  const chance = Math.random;
  Math.random = () => random.next(); // the supervisor's pauses are random by themselves
  try {
    return await run(protocol, options, random);
  } finally {
    Math.random = chance;
  }
}

async function run(protocol: Protocol, options: ScheduleOptions, random: Random): Promise<string | undefined> {
  const { powerLoss, steps = 1500, window = 1, maxBatchMessages = 1000, onKilledFilling } = options;
  const server = new ScriptedServer(random);
  if (options.late !== undefined) server.late = options.late;
  const { clock } = server;
  const database = randomDatabase(options, random, clock);
  const bodies = options.largeEvents ? new ModelBodies() : undefined;
  const seen: string[] = [];
  let instances = 0;
  let sinceSyncMs = 0;
  let sinceBeatMs = 0;
  /** The bodies have a timer of their own. */
  let sinceBodySyncMs = bodies ? random.below(SYNC_MS) : 0;
  const start = (): ModelWorker => {
    const port = new ScriptedPort(server, window, maxBatchMessages);
    const instance = `w${++instances}`;
    return new ModelWorker({ protocol, server, port, database, bodies: bodies ?? new ModelBodies(), instance });
  };
  const workers = [start(), start()];
  const pass = (ms: number): void => {
    server.clock.advance(ms);
    sinceSyncMs += ms;
    sinceBodySyncMs += ms;
    sinceBeatMs += ms;
    if (sinceBeatMs >= BEAT_MS) {
      const open = database.partitions.filter((name = "") => !database.closed.has(name));
      database.commit(open[random.below(open.length)], []);
      sinceBeatMs = 0;
    }
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

  const ended = (): Error | undefined => workers.find((worker) => worker.ended !== undefined)?.ended;
  for (let step = 0; step < steps && ended() === undefined; step++) {
    for (const [nth, { port }] of workers.entries()) if (port.killed) workers[nth] = start();
    const r = random.next();
    const at = random.below(workers.length);
    const filling = workers.findIndex(({ port }) => port.filling && !port.killed);
    if (r < 0.012) workers[at]?.port.disconnect();
    else if (r < 0.014) workers[at]?.kill();
    else if (filling >= 0 && random.chance(0.05)) {
      workers[filling]?.kill();
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
    } else if (r < 0.022) database.cut();
    else if (r < 0.03) consume();
    else if (r < 0.2) pass(random.below(500));
    else if (!server.deliver()) pass(100);
    await turn();
  }
  const wanted = wantedOf(database);
  const all = wanted.flat();
  let waited = 0;
  const changes = ofMessages(server, (messages) => messages.filter(({ subject }) => subject.startsWith("cdc.")));
  const bodiless = (): readonly Stored[] =>
    changes().filter((message) => {
      const name = bodyOf(message);
      return name !== undefined && bodies?.has(name) === false;
    });
  const caughtUp = (): boolean => {
    const there = changes().map(({ headers }) => headers.get("Cdc-Pos"));
    const ends = new Set<string | undefined>(wanted.map((positions) => positions.at(-1)));
    return new Set(there).size >= all.length && ends.has(there.at(-1)) && bodiless().length === 0;
  };
  // Where bodies are looked for a start asks too often for each try to lose an answer.
  server.dropsNothing = bodies !== undefined;
  for (; waited < 20_000 && !(waited % 10 === 0 && caughtUp()) && ended() === undefined; waited++) {
    for (const [nth, { port }] of workers.entries()) if (port.killed) workers[nth] = start();
    if (!server.deliver()) pass(50);
    if (waited % 20 === 0) pass(20);
    await turn();
  }
  // A recovery that has begun comes to its end, and a mark without a partition that is over to its save.
  const unsaid = ofMessages(server, (messages) => unsaidLoss(messages, MODEL));
  const untold = (): boolean => unsaid() !== undefined || unended(server, database).length > 0;
  for (let more = 0; more < 200 || (more < 20_000 && untold()); more++) {
    for (const [nth, { port }] of workers.entries()) if (port.killed) workers[nth] = start();
    if (!server.deliver()) pass(50);
    await turn();
  }
  consume();
  options.onStream?.(server.messages);
  const end = ended();
  for (const worker of workers) worker.kill();
  await turn();
  if (end !== undefined) return `a worker has ended: ${end.message}`;
  const [first] = bodiless();
  if (first !== undefined)
    return `${bodiless().length} large events without a body, the first is ${first.headers.get("Cdc-Pos")}`;
  const [named] = unended(server, database);
  if (named !== undefined) return `${named} is not over, or the checkpoint still names it`;
  const before = childBeforeParent(changes(), options.parents ?? {});
  const wrong = before ?? unsaid() ?? wrongPartition(changes(), database.partitions, wanted);
  return wrong ?? unseen(all, seen, powerLoss !== false);
}

/** Transactions of one to four rows, and some of none; the bodies of some are too large for a message. */
function randomDatabase(
  { partitions = [], parents = {}, largeEvents = false }: ScheduleOptions,
  random: Random,
  clock: Clock,
): ScriptedDatabase {
  const database = new ScriptedDatabase("model", clock, partitions, parents);
  const ending = new Set(Object.values(parents));
  for (let nth = 1; nth <= TRANSACTIONS; nth++) {
    if (nth === TRANSACTIONS / 3) for (const partition of ending) database.close(partition);
    const names = database.partitions.filter((name = "") =>
      nth < TRANSACTIONS / 3 ? !database.parents.has(name) : !ending.has(name),
    );
    const partition = names[random.below(names.length)];
    const text = largeEvents && nth % 3 === 0 ? "x".repeat(MAX_MESSAGE_BYTES) : "";
    const count = random.chance(0.6) ? 1 : 2 + random.below(3);
    database.commit(
      partition,
      Array.from({ length: count }, (_, row) => ({ key: `${nth}-${row}`, text })),
    );
    if (random.chance(0.3)) database.commit(partition, []);
  }
  database.pick = (count) => random.below(count);
  database.rest = async () => {
    if (random.chance(0.8)) await clock.sleep(random.below(400));
  };
  return database;
}

/** Partitions that have ended, and that the memory does not know to be over, or the checkpoint still names. */
function unended(server: ScriptedServer, database: ScriptedDatabase): readonly string[] {
  const memory = server.saved(memoryKey(MODEL)) as { readonly over?: readonly string[] } | undefined;
  const checkpoint = server.saved(checkpointKey(MODEL)) as Checkpoint | undefined;
  const named = checkpoint && positionsFrom(checkpoint.position);
  return [...database.closed.keys()].filter((name) => !memory?.over?.includes(name) || named?.has(name));
}

/** The positions of all rows of each partition, in its order. */
function wantedOf(database: ScriptedDatabase): readonly (readonly Position[])[] {
  return database.partitions.map((name) =>
    database.log
      .filter(({ partition }) => partition === name)
      .flatMap((committed) => committed.rows.map((_, nth) => database.placeOf(committed, nth).position)),
  );
}

/** The name of a large event's body; undefined where it has its own. */
function bodyOf({ data, headers }: Stored): string | undefined {
  return dataRefOf({ data, header: (name) => headers.get(name) })?.name;
}
