// The demo: real servers, a shop that is written to, three automations, and books that trust none of them.

import { appendFileSync, rmSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { connect } from "@nats-io/transport-node";
import { startWorker } from "../app.ts";
import { realClock } from "../clock.ts";
import { endWithParent } from "../dev/end-with-parent.ts";
import { startNats } from "../dev/nats-server.ts";
import { TransientError } from "../errors.ts";
import { createLogger } from "../telemetry/create-logger.ts";
import { Account, type DemoSummary } from "./account.ts";
import { Latency } from "./latency.ts";
import { openPostgresShop } from "./postgres/postgres-shop.ts";
import type { ShopDatabase } from "./shop-database.ts";
import { StreamReader } from "./stream-reader.ts";

/** The kinds of database that the shop can run on. */
export const shopKinds = ["postgres", "mongodb", "dynamodb"] as const;

export interface DemoOptions {
  readonly kind: (typeof shopKinds)[number];
  /** How long to write; undefined means until the signal. */
  readonly seconds: number | undefined;
  /** Leave the data and the worker's log behind. */
  readonly keep: boolean;
  /** Ends the writing; what is under way is still counted. */
  readonly signal: AbortSignal;
  /** Called once the shop's database is there, with what it is. */
  readonly onServer: (server: string) => void;
  /** Called about twice a second. */
  readonly show: (progress: DemoSummary, newest: readonly string[]) => void;
}

export interface DemoResult {
  readonly summary: DemoSummary;
  /** Empty when all is exact. */
  readonly faults: readonly string[];
  readonly directory: string;
}

const SHOW_EVERY_MS = 500;
/** Without any progress for this long, what is missing counts as lost. */
const SETTLE_MS = 30_000;
const START_MS = 30_000;
const KEPT = "kept";

const openers: Readonly<Record<DemoOptions["kind"], (directory: string) => Promise<ShopDatabase>>> = {
  postgres: openPostgresShop,
  // With the driver and the SDK, which the others do without.
  mongodb: async (directory) => (await import("./mongodb/mongo-shop.ts")).openMongoShop(directory),
  dynamodb: async () => (await import("./dynamodb/dynamo-shop.ts")).openDynamoShop(),
};

/** Runs it below `.millrace/demo`. @throws ConfigError when a server cannot be had, and what ended the worker */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const place = resolve(".millrace/demo");
  await removeLeftOvers(place);
  const name = `${new Date().toISOString().replace(/[:.]/g, "-")}-${options.keep ? KEPT : process.pid}`;
  const directory = join(place, name);
  const data = new Set([directory]);
  // Where it is ended at once, for there is no time to wait for the servers.
  const release = options.keep
    ? () => {}
    : endWithParent(() => {
        for (const path of data) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
      });
  try {
    await mkdir(directory, { recursive: true });
    await using shop = await openers[options.kind](directory);
    if (shop.dataDir !== undefined) data.add(shop.dataDir);
    options.onServer(shop.server);
    await using nats = await startNats({ dataDir: join(directory, "nats") });
    data.add(nats.dataDir);
    return { directory, ...(await runShop(options, shop, { natsUrl: nats.url, directory })) };
  } finally {
    release();
    if (!options.keep) await Promise.all([...data].map((path) => rm(path, { recursive: true, force: true })));
  }
}

/** What a demo left that was killed. */
async function removeLeftOvers(place: string): Promise<void> {
  for (const name of await readdir(place).catch(() => [])) {
    const owner = /-(\d+)$/.exec(name)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    await rm(join(place, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

interface Places {
  readonly natsUrl: string;
  readonly directory: string;
}

async function runShop(
  options: DemoOptions,
  shop: ShopDatabase,
  places: Places,
): Promise<Omit<DemoResult, "directory">> {
  const nc = await connect({ servers: places.natsUrl });
  const latency = new Latency();
  try {
    const worker = await startWorker(
      {
        bus: { servers: places.natsUrl, fsync: "always" },
        sources: { shop: shop.source },
        automations: shop.automations(latency),
      },
      {
        log: createLogger({
          level: "info",
          pretty: false,
          write: (line) => appendFileSync(join(places.directory, "worker.log"), line),
        }),
      },
    );
    const over = new AbortController();
    const work = async (): Promise<Omit<DemoResult, "directory">> => {
      await until(START_MS, "the worker to run", () => isRunning(worker.status()));
      const log = await shop.openLog();
      const stream = await StreamReader.start(nc, shop);
      const { listeners, order } = shop;
      const account = new Account({ ledger: () => shop.ledger(), log, stream, latency, listeners, order });
      return count(options, shop, account, over.signal);
    };
    const working = work();
    try {
      return await Promise.race([working, worker.finished.then(() => Promise.reject(stopped()))]);
    } finally {
      over.abort();
      await Promise.allSettled([working]);
      await worker.stop();
    }
  } finally {
    await nc.close();
  }
}

/** Writes, and after that waits until all is settled or nothing moves any more. */
async function count(
  { seconds, signal, show }: DemoOptions,
  shop: ShopDatabase,
  account: Account,
  over: AbortSignal,
): Promise<Omit<DemoResult, "directory">> {
  // Not AbortSignal.timeout: inside AbortSignal.any Node 20 may collect it as garbage before it fires.
  const enough = new AbortController();
  const timer = seconds === undefined ? undefined : setTimeout(() => enough.abort(), seconds * 1000);
  let writing = true;
  const written = shop.write(AbortSignal.any([signal, enough.signal, over])).finally(() => {
    clearTimeout(timer);
    writing = false;
  });
  written.catch(() => {}); // heard below
  let summary = await account.update();
  for (let movedMs = performance.now(); writing || (performance.now() - movedMs < SETTLE_MS && !over.aborted); ) {
    await Promise.race([realClock.sleep(SHOW_EVERY_MS), written]);
    const done = !writing;
    const next = await account.update();
    show(next, account.newest);
    if (done && account.faults(next).length === 0) return { summary: next, faults: [] };
    if (writing || JSON.stringify(next) !== JSON.stringify(summary)) movedMs = performance.now();
    summary = next;
  }
  await written;
  return { summary, faults: account.faults(summary) };
}

function isRunning(status: ReturnType<Awaited<ReturnType<typeof startWorker>>["status"]>): boolean {
  return [...status.sources, ...status.automations].every(({ state }) => state === "running");
}

async function until(timeoutMs: number, what: string, holds: () => boolean): Promise<void> {
  for (const endMs = performance.now() + timeoutMs; !holds(); await realClock.sleep(20)) {
    if (performance.now() > endMs) {
      throw new TransientError("DEMO_NOT_STARTED", `waited ${timeoutMs / 1000} s in vain for ${what}`, {
        hint: "Run it again with --keep and read worker.log in the directory that it names.",
      });
    }
  }
}

function stopped(): TransientError {
  return new TransientError("DEMO_WORKER_STOPPED", "the worker stopped by itself", {
    hint: "Run it again with --keep and read worker.log in the directory that it names.",
  });
}
