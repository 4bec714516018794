// Automations under kills: a database that is written to, two whole workers of which one is killed again and again while
// handlers fail at random, and then the judgement of each single event, by the handlers' own ledger, the dead letters and the
// event log.

import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Client } from "pg";
import { Random } from "../bus/scripted-bus.ts";
import { readStream } from "../bus/stream-events.ts";
import {
  type ChaosAutomation,
  type ChaosEvent,
  type ChaosEvidence,
  findChaos,
  type LedgerLine,
  type Letter,
  type LogRecord,
} from "../check/automation-chaos.ts";
import { fateOf } from "../check/automation-fate.ts";
import { freshDatabase, freshNats, scratchDir } from "../servers.ts";
import { waitFor } from "../wait-for.ts";
import { WorkerProcess } from "./worker-process.ts";

export interface ChaosOptions {
  readonly events: number;
  /** Of workers, spread at random over the work. */
  readonly kills: number;
  readonly seed: number;
  /** Default: what the test run has built. */
  readonly cliFile?: string;
  readonly say?: (text: string) => void;
}

export interface ChaosResult {
  readonly ok: boolean;
  readonly seed: number;
  readonly events: number;
  readonly kills: number;
  readonly seconds: number;
  /** Handlers that were started, and those that a kill cut off. */
  readonly started: number;
  readonly cut: number;
  readonly letters: number;
  readonly records: number;
  /** Workers that left by themselves. */
  readonly selfExits: number;
  readonly wrong: number;
  readonly examples: readonly string[];
}

const KEYS = 400;
const ATTEMPTS = 3;
const automations: readonly ChaosAutomation[] = [
  { id: "flaky", attempts: ATTEMPTS, order: false, wants: () => true },
  { id: "picked", attempts: ATTEMPTS, order: false, wants: ({ kind }) => kind === "a" },
  { id: "ordered", attempts: ATTEMPTS, order: true, wants: () => true },
];

const module = (ledger: string): string => `
import { openSync, writeSync } from "node:fs";
import { automation, collection } from "millrace";
const ledger = openSync(${JSON.stringify(ledger)}, "a");
${fateOf}
const item = collection("shop", "public.item");
const retry = { attempts: ${ATTEMPTS}, min: "20ms", max: "200ms" };
const define = (id, options) => automation(id, { on: [item.created(), item.updated()], start: "earliest", retry, concurrency: 32, ...options },
  ({ event, attempt, skip, fatal }) => {
    const put = (what) => writeSync(ledger, what + " " + id + " " + event.sequence + " " + attempt + "\\n");
    put("start");
    const end = () => {
      const fate = fateOf(id, event.id, attempt);
      put(fate);
      if (fate === "skipped") return skip("it is not for it");
      if (fate === "fatal") throw fatal("never");
      if (fate === "failed") throw new Error("not this time");
    };
    return event.sequence % 3 === 0 ? end() : new Promise((go) => setTimeout(go, event.sequence % 7)).then(end);
  });
export const flaky = define("flaky", {});
export const ordered = define("ordered", { order: "key" });
export const picked = define("picked", { where: { after: { kind: ["a"] } } });
`;

/** Never rejects for what it finds: `ok` says. */
export async function runChaos({ events, kills, seed, cliFile, say = () => {} }: ChaosOptions): Promise<ChaosResult> {
  const began = performance.now();
  const random = new Random(seed);
  const nats = await freshNats({ syncInterval: "always" });
  await using database = await freshDatabase();
  await database.query("create table item(id int primary key, n int, kind text)");
  const ledgerFile = join(await scratchDir(), "ledger");
  closeSync(openSync(ledgerFile, "a"));
  const configuration = {
    bus: { servers: nats.url, fsync: "always" },
    sources: { shop: { kind: "postgres", url: database.url, tables: ["public.item"] } },
    automations: "./automations.mjs",
    log: { level: "warn" },
  };
  const options = { files: { "automations.mjs": module(ledgerFile) }, ...(cliFile === undefined ? {} : { cliFile }) };
  const pair = [await WorkerProcess.start(configuration, options), await WorkerProcess.start(configuration, options)];
  let [selfExits, killing, ending] = [0, undefined as WorkerProcess | undefined, false];
  const watch = (worker: WorkerProcess): WorkerProcess => {
    void worker.ended().then(() => {
      if (worker !== killing && !ending) selfExits++;
    });
    return worker;
  };
  pair.forEach(watch);
  try {
    const progress = new Lines(ledgerFile);
    await waitFor(async () => (await stateOf(nats.url)).listening, {
      what: "the automations to listen",
      timeoutMs: 120_000,
    });
    const written = write(database.url, events, random);
    written.catch(() => {});
    // Two lines an attempt: most of the events that an automation wants have one.
    const lines = events * (2 + 1 / 2) * 2;
    const moments = Array.from({ length: kills }, () => random.next() * 0.95 * lines).sort((a, b) => a - b);
    for (const [nth, moment] of moments.entries()) {
      await waitFor(() => progress.count() >= moment, { what: `line ${moment} of the ledger`, timeoutMs: 300_000 });
      const which = random.below(2);
      say(`kill ${nth + 1} of ${kills}, at line ${progress.count()} of about ${lines}`);
      killing = pair[which] as WorkerProcess;
      await killing.kill();
      pair[which] = watch(await killing.again());
    }
    await written;
    say("written; waiting for the automations");
    await waitFor(
      async () => {
        const { changes, open } = await stateOf(nats.url);
        return changes === events && open === 0;
      },
      { what: "all to be settled", timeoutMs: 300_000 },
    );
    ending = true;
    const codes = await Promise.all(pair.map((worker) => worker.stop()));
    selfExits += codes.filter((code) => code !== 0).length;
    say("comparing");
    const evidence = await collect(nats.url, ledgerFile);
    const wrong = findChaos(evidence);
    const started = evidence.ledger.filter(({ what }) => what === "start").length;
    return {
      ok: wrong.length === 0 && selfExits === 0 && evidence.events.length === events,
      seed,
      events: evidence.events.length,
      kills,
      seconds: Math.round((performance.now() - began) / 1000),
      started,
      cut: 2 * started - evidence.ledger.length,
      letters: evidence.letters.length,
      records: evidence.log?.length ?? 0,
      selfExits,
      wrong: wrong.length,
      examples: wrong.slice(0, 10),
    };
  } catch (error) {
    for (const worker of pair) say(`the end of a worker's log:\n${worker.log().slice(-2000)}`);
    throw error;
  } finally {
    ending = true;
    await Promise.all(pair.map((worker) => worker.kill()));
    await nats.kill();
  }
}

/** How many lines a file has that grows. */
class Lines {
  readonly #file: number;
  readonly #chunk = Buffer.alloc(1 << 16);
  #read = 0;
  #lines = 0;

  constructor(path: string) {
    this.#file = openSync(path, "r");
  }

  count(): number {
    while (this.#read < fstatSync(this.#file).size) {
      const bytes = readSync(this.#file, this.#chunk, 0, this.#chunk.length, this.#read);
      for (let at = 0; at < bytes; at++) if (this.#chunk[at] === 10) this.#lines++;
      this.#read += bytes;
    }
    return this.#lines;
  }
}

/** Exactly so many changes of rows, in transactions of one to 200. */
async function write(url: string, events: number, random: Random): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const first = Math.min(KEYS, events);
    await client.query(
      "insert into item select n, 1, case when n % 2 = 0 then 'a' else 'b' end from generate_series(1, $1::int) n",
      [first],
    );
    for (let left = events - first; left > 0; ) {
      const ids = new Set(Array.from({ length: Math.min(left, 1 + random.below(200)) }, () => 1 + random.below(first)));
      await client.query("update item set n = n + 1 where id = any($1)", [[...ids]]);
      left -= ids.size;
    }
  } finally {
    await client.end();
  }
}

/** What the stream holds, and what of it the automations have not settled. */
async function stateOf(
  url: string,
): Promise<{ readonly listening: boolean; readonly changes: number; readonly open: number }> {
  const connection = await connect({ servers: url, reconnect: false });
  try {
    const { streams, consumers } = await jetstreamManager(connection);
    const { state } = await streams.info("CDC_SHOP", { subjects_filter: "cdc.>" });
    const changes = Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
    let [open, durables] = [0, 0];
    for await (const { num_pending, num_ack_pending } of consumers.list("CDC_SHOP")) {
      open += num_pending + num_ack_pending;
      durables++;
    }
    // What waits for a long retry has no place in a durable.
    const retries = await streams.info("MILLRACE_RETRY").catch(() => undefined);
    open += retries?.state.messages ?? 0;
    return { listening: durables >= automations.length, changes, open };
  } finally {
    await connection.close();
  }
}

async function collect(url: string, ledgerFile: string): Promise<ChaosEvidence> {
  const stream = await readStream(url, "CDC_SHOP");
  const events = stream
    .filter(({ subject }) => subject.startsWith("cdc."))
    .map(({ sequence, header, text }): ChaosEvent => {
      const { after } = JSON.parse(text) as { readonly after: { readonly id: number; readonly kind: string } };
      return { sequence, id: header("ce-id") ?? "", key: String(after.id), kind: after.kind };
    });
  const ledger = readFileSync(ledgerFile, "utf8")
    .trimEnd()
    .split("\n")
    .map((line): LedgerLine => {
      const [what, automation = "", sequence, attempt] = line.split(" ");
      return { what: what as LedgerLine["what"], automation, sequence: Number(sequence), attempt: Number(attempt) };
    });
  const letters = (await readStream(url, "MILLRACE_DEAD")).map(({ text }): Letter => {
    const { automation, reason, event } = JSON.parse(text) as Omit<Letter, "sequence"> & { readonly event: ChaosEvent };
    return { automation, reason, sequence: event.sequence };
  });
  const records = (await readStream(url, "MILLRACE_LOG")).map(({ subject, text }): LogRecord => {
    const [, automation = "", outcome = ""] = subject.split(".");
    return { ...(JSON.parse(text) as Omit<LogRecord, "automation" | "outcome">), automation, outcome };
  });
  return { events, automations, ledger, letters, log: records.length > 0 ? records : undefined };
}
