// The worker of an older version is killed, stopped, or stopped beside a running one of this version, which goes on over the
// same database and bus: it reads what the older one left there, and nothing is lost, repeated or told of as missing.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readStream, type StreamEvent } from "../support/bus/stream-events.ts";
import { assertGuarantees } from "../support/check/guarantees.ts";
import { FaultGround, seedOf } from "../support/fault-ground.ts";
import { AskedHandlers } from "../support/process/asked-handlers.ts";
import { buildOlderVersion, lacksOlderVersion, type OlderVersion } from "../support/process/older-version.ts";
import { runCommand } from "../support/process/run-command.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { freshNats, missing, scratchDir } from "../support/servers.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";

const AUTOMATIONS = ["mail", "slow", "receipt", "hears"] as const;
/** Orders that something happens to: the body is large, given up, held in hand with all behind it as backlog, tried again. */
const [LARGE, DEAD, HELD, RETRIED] = [6, 7, 20, 30];
/** Their effects are committed, and not acked, when the worker is killed. */
const COMMITTED = { receipt: RETRIED, hears: RETRIED - 1 };
/** What a dead worker had in hand comes again after half a minute. */
const long = { timeoutMs: 60_000 };

let older: OlderVersion;
beforeAll(async () => {
  older = await buildOlderVersion();
});
afterAll(() => older?.[Symbol.asyncDispose]());

const lacking = missing("postgres", "nats") || lacksOlderVersion();

describe.skipIf(lacking)("a worker of this version goes on where an older one", () => {
  test.each(["was killed", "was stopped", "is stopped beside it"] as const)("%s", { timeout: 240_000 }, async (how) => {
    const nats = await freshNats({ syncInterval: "always", config: "max_payload: 256KB" });
    await using ground = await FaultGround.start({ nats });
    await using toNats = await TcpProxy.start(nats.port);
    await using handlers = await AskedHandlers.listen();
    const world: World = { ground, handlers, toNats, directory: await scratchDir(), orders: 0 };
    await ground.database.query(
      "create table orders(id int primary key, note text); create table effects(automation text, id int)",
    );
    await printedSql(world, older.cliFile);
    await using old = await start(world, "older", older.cliFile);
    await old.logged("source_started");
    await listening(old);
    await using load = ground.write(seedOf(`upgrade from one that ${how}`));
    const held: Partial<Record<string, number>> = { mail: HELD, ...(how === "was killed" ? COMMITTED : {}) };
    let handedOver = false;
    handlers.answer = ({ automation, id, attempt }) => {
      if (automation === "slow" && id === DEAD) return "fatal";
      if (automation === "slow" && id === RETRIED && attempt === 1) return "fail";
      return held[automation] === id && !handedOver ? undefined : "ok";
    };

    await order(world, LARGE - 1);
    await order(world, LARGE, "repeat('large', 100000)");
    await order(world, DEAD);
    await ground.database.query("alter table orders add column discount numeric");
    await order(world, HELD - 1);
    await settled(world);
    await order(world, RETRIED);
    const waiting = how === "was killed" ? { receipt: 1, hears: 1 } : {};
    await settled(world, { mail: RETRIED - HELD + 1, slow: 1, ...waiting });
    await waitFor(() => handlers.waiting.length === Object.keys(held).length, { what: "the held handlers", ...long });

    await using beside = how === "is stopped beside it" ? await start(world, "newer") : undefined;
    if (beside !== undefined) {
      await beside.logged("source_waiting_for_lease");
      await listening(beside);
    }
    if (how === "was killed") await killBetweenCommitAndAck(world, old);
    else await drain(world, old);
    handedOver = true;

    // Nobody is there, or the newer one has only just taken over.
    await order(world, 35);
    await ground.database.query("alter table orders add column paid boolean");
    await order(world, 40);
    await using newer = beside ?? (await start(world, "newer"));
    await newer.logged("source_started");
    await listening(newer);
    // As the page on upgrades says, at last; until then the functions in the database are the older version's.
    if (how === "was stopped") await printedSql(world);
    await order(world, 50);
    await load.stop();
    await ground.caughtUp();
    await waitFor(() => handlers.of("hears").length >= world.orders, { what: "each receipt to be heard of", ...long });
    await settled(world);
    const checked = await runCommand(["check"], { cwd: join(world.directory, "newer") });
    const verified = await runCommand(["verify", "shop"], { cwd: join(world.directory, "newer") });
    expect(await newer.stop()).toBe(0);

    const truth = (await ground.committed()).filter(
      ({ namespace, collection }) => namespace === "public" && collection !== "effects",
    );
    await assertGuarantees({ truth, natsUrl: nats.url, source: "shop" });
    expect(verified).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining("nothing is wrong") });
    expect([checked.code, checked.stdout]).toEqual([0, expect.stringMatching(/, 0 failed\n$/)]);
    const stream = await readStream(nats.url, "CDC_SHOP");
    expect(markers(stream)).toEqual({ writer: 2, history: 1 });
    // The third is of the newer version, which says more of the same numeric column.
    expect(schemas(stream)).toEqual({ orders: [null, { added: ["discount"] }, {}, { added: ["paid"] }] });
    expect(await readStream(nats.url, "MILLRACE_EVENTS")).toEqual([]); // no gap, of the source's or of an automation's
    expect(complaints(newer)).toEqual([]);
    expect(complaints(old).toSorted()).toEqual(["automation_dead_letter", "automation_retrying"]);

    // Each order once by each automation, but for what was in hand of one that was killed.
    const [inHand, whole] = [{ [HELD]: 2 }, handlers.of("mail").find(({ id }) => id === LARGE)];
    expect(repeated(handlers, "mail", world.orders)).toEqual(how === "was killed" ? inHand : {});
    expect(repeated(handlers, "slow", world.orders)).toEqual({ [RETRIED]: 2 });
    expect(repeated(handlers, "receipt", world.orders)).toEqual({});
    expect(repeated(handlers, "hears", world.orders)).toEqual({});
    expect(whole?.length).toBe(500_000);
    const retried = handlers.of("slow").filter(({ id }) => id === RETRIED);
    expect(retried.map(({ worker, attempt }) => [worker, attempt])).toEqual([
      ["older", 1],
      ["newer", 2],
    ]);
    expect((await readStream(nats.url, "MILLRACE_DEAD")).map(({ subject }) => subject)).toEqual(["dead.slow"]);
    for (const automation of ["receipt", "hears"]) {
      const effects = await effectsOf(world, automation);
      expect(effects).toEqual(Array.from({ length: world.orders }, (_, nth) => nth + 1));
    }
    // One worker, one at a time: in the order of the stream, behind what the older one gave back, which comes as it was given.
    const mailed = handlers.of("mail", "newer").flatMap(({ id }) => (id > RETRIED ? [id] : []));
    if (how === "was stopped") expect(mailed).toEqual(mailed.toSorted((a, b) => a - b));
  });
});

interface World {
  readonly ground: FaultGround;
  readonly handlers: AskedHandlers;
  readonly toNats: TcpProxy;
  /** Each worker has a folder in it. */
  readonly directory: string;
  /** How many there are; their ids count from 1. */
  orders: number;
}

function configurationOf({ ground, toNats }: World): Readonly<Record<string, unknown>> {
  const tables = ["public.*", "!public.aside", "!public.effects"];
  const { sources, ...rest } = ground.configuration({ natsUrl: toNats.url(ground.nats.url), tables }) as {
    readonly sources: { readonly shop: object };
  };
  return { ...rest, sources: { shop: { ...sources.shop, outbox: true } } };
}

function start(world: World, name: "older" | "newer", cliFile?: string): Promise<WorkerProcess> {
  return WorkerProcess.start(
    { ...configurationOf(world), automations: "./automations.mjs" },
    {
      directory: join(world.directory, name),
      files: { "automations.mjs": world.handlers.module(world.ground.database.url) },
      env: { WORKER: name },
      ...(cliFile === undefined ? {} : { cliFile }),
    },
  );
}

async function listening(worker: WorkerProcess): Promise<void> {
  for (const id of AUTOMATIONS)
    await worker.logged("automation_started", ({ automation, source }) => automation === id && source !== "_retry");
}

/** What `millrace sql` prints, run by the owner of the database. */
async function printedSql({ ground, directory, ...world }: World, cliFile?: string): Promise<void> {
  await writeFile(
    join(directory, "millrace.config.json"),
    JSON.stringify(configurationOf({ ground, directory, ...world })),
  );
  for (const what of ["outbox", "inbox"]) {
    const options = { cwd: directory, ...(cliFile === undefined ? {} : { cliFile }) };
    const { code, stdout, stderr } = await runCommand(["sql", what], options);
    expect([code, stderr]).toEqual([0, ""]);
    await ground.database.query(stdout);
  }
}

/** Orders up to this id, in one transaction. */
async function order(world: World, upTo: number, note = "'new'"): Promise<void> {
  const insert = `insert into orders(id, note) select id, ${note} from generate_series($1::int, $2::int) id`;
  await world.ground.database.query(insert, [world.orders + 1, upTo]);
  world.orders = upTo;
}

/** Waits until the automations have so many orders or receipts left. */
async function settled({ ground }: World, left: Partial<Record<string, number>> = {}): Promise<void> {
  for (const automation of AUTOMATIONS) {
    const look = (): Promise<boolean> =>
      ground.withStreams(async ({ consumers }) => {
        const { num_pending, num_ack_pending } = await consumers.info("CDC_SHOP", automation);
        return num_pending + num_ack_pending === (left[automation] ?? 0);
      });
    await waitFor(look, { what: `what is left to ${automation}`, ...long });
  }
}

/** The effects are committed; that their events are settled never reaches the bus. */
async function killBetweenCommitAndAck(world: World, worker: WorkerProcess): Promise<void> {
  const { handlers, toNats } = world;
  toNats.forget();
  for (const [automation, id] of Object.entries(COMMITTED)) {
    handlers.release(automation);
    const committed = async (): Promise<boolean> => (await effectsOf(world, automation)).includes(id);
    await waitFor(committed, { what: `the effect of ${automation}` });
  }
  worker.pause();
  await toNats.refuse();
  toNats.cut();
  await worker.kill();
  await toNats.heal();
}

async function effectsOf({ ground }: World, automation: string): Promise<readonly number[]> {
  const select = "select id from effects where automation = $1 order by id";
  return (await ground.database.query<{ id: number }>(select, [automation])).map(({ id }) => id);
}

/** It ends what it has in hand, and nothing else. */
async function drain({ handlers }: World, worker: WorkerProcess): Promise<void> {
  const ended = worker.stop();
  await worker.logged("automation_stopped");
  handlers.release("mail");
  expect(await ended).toBe(0);
}

/** How many of each kind, but for those of schemas. */
function markers(stream: readonly StreamEvent[]): Readonly<Record<string, number>> {
  const kinds = stream.flatMap(({ subject }) => /^meta\.shop\.(.+)$/.exec(subject)?.[1] ?? []);
  return countsOf(kinds.filter((kind) => kind !== "schema"));
}

/**
 * What changed in each version of the tables that this test changes, from the first one on; each names the one before it.
 * Another table may get a version by an upgrade alone, where this one describes a type's values better.
 */
function schemas(stream: readonly StreamEvent[]): Readonly<Record<string, readonly unknown[]>> {
  const told: Record<string, readonly unknown[]> = {};
  const newest = new Map<string, string>();
  for (const { subject, text } of stream) {
    if (subject !== "meta.shop.schema") continue;
    const { collection, version, previous, changes } = JSON.parse(text) as {
      readonly collection: string;
      readonly version: string;
      readonly previous: string | null;
      readonly changes: Readonly<Record<string, unknown>> | null;
    };
    expect([collection, previous]).toEqual([collection, newest.get(collection) ?? null]);
    newest.set(collection, version);
    if (collection === "orders") told[collection] = [...(told[collection] ?? []), changes];
    else expect(Object.keys(changes ?? {}).filter((what) => what !== "recoded")).toEqual([]);
  }
  return told;
}

/** Events of the log that are worth a person's look. */
function complaints(worker: WorkerProcess): readonly unknown[] {
  return worker
    .logLines()
    .filter(({ level }) => level !== "info")
    .map(({ event }) => event);
}

/** How often each order came that did not come once. */
function repeated(handlers: AskedHandlers, automation: string, orders: number): Readonly<Record<string, number>> {
  const starts = countsOf(handlers.of(automation).map(({ id }) => String(id)));
  const counts = Array.from({ length: orders }, (_, nth) => [String(nth + 1), starts[nth + 1] ?? 0] as const);
  return Object.fromEntries(counts.filter(([, count]) => count !== 1));
}

function countsOf(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
