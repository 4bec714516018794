// Random faults of every kind for as long as one likes: two workers, each with wires of its own, real servers, a bus that
// syncs every two seconds and now and then loses what it has not synced; then the judgement.

import { setTimeout as delay } from "node:timers/promises";
import { Random } from "../bus/scripted-bus.ts";
import { readStream } from "../bus/stream-events.ts";
import { type AcknowledgeSample, findWrong } from "../check/guarantees.ts";
import { listWrong } from "../check/wrong.ts";
import { FaultGround } from "../fault-ground.ts";
import { watchAcknowledged } from "../postgres/watch-acknowledged.ts";
import { WriteLoad } from "../postgres/write-load.ts";
import { freshPostgres } from "../servers.ts";
import { TcpProxy } from "../tcp-proxy.ts";
import { WorkerProcess } from "./worker-process.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Default: what the test run has built. */
  readonly cliFile?: string;
  /** Longest pause of a writer, in ms: how much is written, and must be compared at the end. Default 250. */
  readonly pauseMs?: number;
  readonly say?: (text: string) => void;
}

export interface SoakResult {
  readonly ok: boolean;
  readonly minutes: number;
  readonly seed: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Row changes by the database's own account, and those in the stream. */
  readonly committed: number;
  readonly published: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
  /** All else that the judge found: values, marks, chain, acknowledged too early. */
  readonly otherwiseWrong: number;
  /** Workers that left by themselves. */
  readonly selfExits: number;
  readonly examples: readonly string[];
  readonly versions: Readonly<Record<string, string>>;
}

/** Less than the horizon, twice of it, can be lost. */
const SYNC = "2s";
const LONGEST_LOSS_MS = 1_500;
const CAUGHT_UP_MS = 240_000;

/** A worker, and what stands between it and its servers. */
class SoakWorker {
  readonly toBus: TcpProxy;
  readonly toDatabase: TcpProxy;
  process: WorkerProcess;
  selfExits = 0;
  #expected: WorkerProcess | undefined;

  private constructor(toBus: TcpProxy, toDatabase: TcpProxy, process: WorkerProcess) {
    this.toBus = toBus;
    this.toDatabase = toDatabase;
    this.process = process;
    this.#watch(process);
  }

  static async start(ground: FaultGround, cliFile: string | undefined): Promise<SoakWorker> {
    const toBus = await TcpProxy.start(ground.nats.port);
    const toDatabase = await TcpProxy.start(ground.database.server.port);
    const configuration = ground.configuration({
      natsUrl: toBus.url(ground.nats.url),
      databaseUrl: toDatabase.url(ground.database.url),
      fsync: SYNC,
      timeout: "3s",
    });
    const process = await WorkerProcess.start(configuration, cliFile === undefined ? {} : { cliFile });
    return new SoakWorker(toBus, toDatabase, process);
  }

  async kill(): Promise<void> {
    this.#expected = this.process;
    await this.process.kill();
  }

  async startAgain(): Promise<void> {
    this.process = await this.process.again();
    this.#watch(this.process);
  }

  async end(): Promise<void> {
    await this.kill();
    await Promise.all([this.toBus[Symbol.asyncDispose](), this.toDatabase[Symbol.asyncDispose]()]);
  }

  #watch(process: WorkerProcess): void {
    void process.ended().then(async () => {
      if (this.#expected === process) return;
      this.selfExits++;
      await this.startAgain();
    });
  }
}

interface World {
  readonly ground: FaultGround;
  readonly workers: readonly SoakWorker[];
  readonly random: Random;
}

type Fault = (world: World) => Promise<void>;

const some = ({ workers, random }: World): SoakWorker => workers[random.below(workers.length)] as SoakWorker;
const between = ({ random }: World, fromMs: number, toMs: number): Promise<void> =>
  delay(fromMs + random.below(toMs - fromMs));

type Wire = (worker: SoakWorker) => TcpProxy;

/** What may happen to the connections of one worker to one of its servers. */
function wireFaults(name: string, wire: Wire): Readonly<Record<string, Fault>> {
  const during =
    (begin: (proxy: TcpProxy, world: World) => void, longestMs: number): Fault =>
    async (world) => {
      const proxy = wire(some(world));
      begin(proxy, world);
      await between(world, 200, longestMs);
      await proxy.heal();
    };
  return {
    [`${name} cut`]: async (world) => wire(some(world)).cut(),
    [`${name} black hole`]: during((proxy, { random }) => {
      const directions = ([["up"], ["down"], ["up", "down"]] as const)[random.below(3)] ?? ["up"];
      proxy.blackHole(...directions);
    }, 25_000),
    [`${name} half open`]: during((proxy) => proxy.forget(), 15_000),
    [`${name} trickles`]: during((proxy) => proxy.trickle(500), 5_000),
    [`${name} slow`]: during((proxy) => proxy.delay(30), 5_000),
  };
}

const faults: Readonly<Record<string, Fault>> = {
  "worker killed": async (world) => {
    const worker = some(world);
    await worker.kill();
    await between(world, 0, 5_000);
    await worker.startAgain();
  },
  "worker frozen": async (world) => {
    const { process } = some(world);
    process.pause();
    await between(world, 200, 12_000);
    process.resume();
  },
  "bus killed": async (world) => {
    await world.ground.nats.kill();
    await between(world, 0, 5_000);
    await world.ground.nats.restart();
  },
  "bus restarted": ({ ground }) => ground.nats.restart(),
  "bus frozen": async (world) => {
    world.ground.nats.pause();
    await between(world, 200, 8_000);
    world.ground.nats.resume();
  },
  "bus lost acknowledged messages": async (world) => {
    await world.ground.copyStore();
    await between(world, 100, LONGEST_LOSS_MS);
    await world.ground.losePower();
  },
  "database restarted": ({ ground }) => ground.database.server.restart(),
  "database shut down at once": async (world) => {
    const { server } = world.ground.database;
    await server.stop("immediate");
    await between(world, 0, 3_000);
    await server.restart();
  },
  "database frozen": async (world) => {
    const { server } = world.ground.database;
    server.pause();
    await between(world, 200, 8_000);
    server.resume();
  },
  "leftovers late": async (world) => {
    const { toBus } = some(world);
    const leftovers = toBus.keepBack();
    await between(world, 100, 1_500);
    leftovers.cut();
    await between(world, 0, 6_000);
    leftovers.deliver();
  },
  ...wireFaults("bus wire", ({ toBus }) => toBus),
  ...wireFaults("database wire", ({ toDatabase }) => toDatabase),
};

/** Never rejects for what it finds: `ok` says. */
export async function runSoak({
  minutes,
  seed,
  cliFile,
  pauseMs = 250,
  say = () => {},
}: SoakOptions): Promise<SoakResult> {
  const random = new Random(seed);
  await using ground = await FaultGround.start({ sync: SYNC, postgres: await freshPostgres() });
  const workers = [await SoakWorker.start(ground, cliFile), await SoakWorker.start(ground, cliFile)];
  const world: World = { ground, workers, random };
  try {
    await Promise.any(workers.map(({ process }) => process.logged("source_started", undefined, 60_000)));
    const names = { url: ground.database.url, slot: "millrace_shop", natsUrl: ground.nats.url, stream: "CDC_SHOP" };
    const acknowledged = watchAcknowledged({ ...names, everyMs: 1_000 });
    await using load = WriteLoad.start({ url: ground.database.url, seed, pauseMs });

    const counts: Record<string, number> = {};
    const kinds = Object.keys(faults);
    for (const endMs = performance.now() + minutes * 60_000; performance.now() < endMs; ) {
      await between(world, 200, 5_000);
      const kind = kinds[random.below(kinds.length)] as string;
      say(`${new Date().toISOString().slice(11, 19)} ${kind}`);
      await faults[kind]?.(world);
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
    await load.stop();
    say("comparing");
    return { minutes, seed, faults: counts, ...(await judge(world, await acknowledged.stop())) };
  } finally {
    await Promise.all(workers.map((worker) => worker.end()));
  }
}

async function judge(
  { ground, workers }: World,
  samples: readonly AcknowledgeSample[],
): Promise<Omit<SoakResult, "minutes" | "seed" | "faults">> {
  // Whatever did not arrive in time is counted as lost.
  const truth = await ground.settled(CAUGHT_UP_MS).catch(() => ground.committed());
  const events = await readStream(ground.nats.url, "CDC_SHOP");
  const wrong = findWrong(truth, events, samples);
  const count = (wanted: string): number => wrong.filter(({ kind }) => kind === wanted).length;
  const lost = count("lost");
  const duplicated = count("once too often") + count("not in the database's log");
  const outOfOrder = count("out of order");
  const selfExits = workers.reduce((sum, worker) => sum + worker.selfExits, 0);
  return {
    ok: wrong.length === 0 && selfExits === 0 && truth.length > 0,
    committed: truth.length,
    published: events.filter(({ subject }) => subject.startsWith("cdc.")).length,
    lost,
    duplicated,
    outOfOrder,
    otherwiseWrong: wrong.length - lost - duplicated - outOfOrder,
    selfExits,
    examples: listWrong(wrong),
    versions: await ground.versions(),
  };
}
