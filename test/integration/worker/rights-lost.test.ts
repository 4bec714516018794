// What a nats-server takes away while a worker runs: rights of its user, the user itself, room for large messages. Each is named
// while it lasts, and over when it is over. On a real server whose configuration is loaded anew.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker } from "../../../src/app.ts";
import { automation } from "../../../src/automation/define/automation.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { orders } from "../../support/automations.ts";
import { RecordedLog } from "../../support/postgres/recorded-log.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const user = (deny: readonly string[], name = "worker"): string =>
  `authorization { users: [
    { user: ${name}, password: secret, permissions: { publish: { deny: ${JSON.stringify(deny)} }, subscribe: ">" } }
    { user: all, password: all }
  ] }
  no_auth_user: all`;

/** Other lines of configuration, without a restart. */
async function reload(nats: NatsServer, config: string): Promise<void> {
  const file = join(nats.dataDir, "nats.conf");
  const text = await readFile(file, "utf8");
  await writeFile(file, `${text.slice(0, text.indexOf("authorization"))}${config}\n`);
  process.kill(nats.pid, "SIGHUP");
}

interface Ground {
  readonly nats: NatsServer;
  readonly database: Database;
  readonly worker: Worker;
  readonly handled: number[];
  readonly log: RecordedLog;
  insert(from: number, to: number): Promise<unknown>;
  part(kind: string): { readonly ready: boolean; readonly code?: string; readonly reason: string } | undefined;
}

/** A worker whose handler fails for good where an order's id is a multiple of five. */
async function ground(config = user([])): Promise<Ground> {
  const nats = await freshNats({ config });
  const database = await freshDatabase();
  onTestFinished(() => database[Symbol.asyncDispose]());
  await database.query("create table orders(id int primary key, status text)");
  const handled: number[] = [];
  const log = new RecordedLog();
  const mail = automation("mail", { on: orders.created(), start: "earliest" }, ({ event, fatal }) => {
    if (Number(event.after.id) % 5 === 0) throw fatal("never");
    handled.push(Number(event.after.id));
  });
  const worker = await startWorker(
    {
      bus: { servers: nats.url.replace("//", "//worker:secret@"), fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url } },
      automations: [mail],
    },
    { log, timing: { idleCheckMs: 500 } },
  );
  onTestFinished(() => worker.stop());
  await waitFor(() => worker.status().ready, { what: "all to run" });
  return {
    nats,
    database,
    worker,
    handled,
    log,
    insert: (from, to) => database.query(`insert into orders select n, 'new' from generate_series(${from}, ${to}) n`),
    part: (kind) => worker.status().parts.find((part) => part.kind === kind),
  };
}

const seen = (handled: readonly number[], upTo: number): boolean =>
  Array.from({ length: upTo }, (_, at) => at + 1).every((id) => id % 5 === 0 || handled.includes(id));

describe.skipIf(missing("postgres", "nats"))("a right that is taken away while the worker runs", () => {
  for (const [denied, refused] of [
    ["$JS.API.CONSUMER.MSG.NEXT.>", "$JS.API.CONSUMER.MSG.NEXT.CDC_SHOP.mail"],
    ["$KV.millrace_state.>", "$KV.millrace_state."],
    ["$JS.API.STREAM.MSG.GET.>", "$JS.API.STREAM.MSG.GET."],
    ["dead.>", "dead.mail"],
  ] as const) {
    test(`is named, and the automation goes on by itself: ${denied}`, async () => {
      const { nats, handled, insert, part } = await ground();
      await insert(1, 4);
      await waitFor(() => seen(handled, 4), { what: "the first orders" });
      await reload(nats, user([denied]));
      await insert(5, 9);
      await waitFor(() => part("automation")?.code === "BUS_PERMISSION", {
        what: "the automation to name it",
      });
      expect(part("automation")).toMatchObject({ ready: false, reason: expect.stringContaining(refused) });
      await reload(nats, user([]));
      await waitFor(() => part("automation")?.ready === true && part("source")?.ready === true, {
        what: "all to be green again",
        timeoutMs: 60_000,
      });
      await insert(10, 14);
      await waitFor(() => seen(handled, 14), { what: "all orders" });
      const nc = await connect({ servers: nats.url });
      onTestFinished(() => nc.close());
      const dead = async (): Promise<number> =>
        (await (await jetstreamManager(nc)).streams.info("MILLRACE_DEAD")).state.messages;
      await waitFor(async () => (await dead()) === 2, { what: "both dead letters" });
    });
  }

  test("the user itself: why it is not connected is said, once and not at each try", async () => {
    const { nats, worker, log, part, insert, handled } = await ground();
    await reload(nats, user([], "another"));
    await waitFor(() => part("bus")?.code === "BUS_AUTH", { what: "the reason" });
    expect(part("bus")?.reason).toContain("not connected: BUS_AUTH: NATS");
    const said = log.lines.filter(({ level, event }) => level === "warn" && event === "bus_disconnected");
    expect(said.map(({ fields }) => fields.code)).toEqual([undefined, "BUS_AUTH"]);
    await reload(nats, user([]));
    await waitFor(() => worker.status().ready, { what: "all to run again", timeoutMs: 60_000 });
    await insert(1, 4);
    await waitFor(() => seen(handled, 4), { what: "all orders" });
  });

  test("room for large messages: they go to the object store from then on, without a restart", async () => {
    const { nats, database, handled, part, insert, worker } = await ground(`max_payload: 1000000\n${user([])}`);
    await insert(1, 1);
    await waitFor(() => seen(handled, 1), { what: "the first order" });
    const file = join(nats.dataDir, "nats.conf");
    await writeFile(file, (await readFile(file, "utf8")).replace("max_payload: 1000000", "max_payload: 65536"));
    process.kill(nats.pid, "SIGHUP");
    await database.query(
      "insert into orders values (2, (select string_agg(md5(n::text), '') from generate_series(1, 10000) n))",
    );
    await insert(3, 4);
    await waitFor(() => seen(handled, 4), { what: "the large order and those behind it", timeoutMs: 60_000 });
    await waitFor(() => part("source")?.ready === true, { what: "the source to be green" });
    expect(worker.status().sources[0]?.poison).toBe(0);
  });
});

test.skipIf(missing("postgres", "nats"))(
  "many pairs of workers that start together on a new bus all go on",
  async () => {
    const nats = await freshNats();
    const database = await freshDatabase();
    onTestFinished(() => database[Symbol.asyncDispose]());
    await database.query("create table orders(id int primary key, status text)");
    const nc = await connect({ servers: nats.url });
    onTestFinished(() => nc.close());
    const jsm = await jetstreamManager(nc);
    for (let round = 0; round < 12; round++) {
      const id = `acc${round}`;
      const quiet = automation("mail", { on: orders.created() }, () => {});
      const config = {
        bus: { servers: nats.url, fsync: "always" },
        sources: { [id]: { kind: "postgres", url: database.url } },
        automations: [quiet],
      };
      const pair = await Promise.all([startWorker(config), startWorker(config)]);
      const states = () => pair.map((worker) => worker.status().sources[0]?.state);
      await waitFor(() => states().toSorted().join() === "running,waiting-for-lease", {
        what: "one to run and the other to stand by",
      });
      await Promise.all(pair.map((worker) => worker.stop()));
      for (const worker of pair) await worker.finished;
      for await (const { config: stream } of jsm.streams.list()) await jsm.streams.delete(stream.name);
      await database.query(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()",
      );
    }
  },
);
