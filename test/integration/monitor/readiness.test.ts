// What holds the worker up, thing by thing: /readyz is red with the right reason, and green again once it is over.

import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker } from "../../../src/app.ts";
import type { Automation } from "../../../src/automation/define/automation.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { automation, collection } from "../../../src/index.ts";
import type { Readiness } from "../../../src/monitor/status.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

/** All that is asked for; it takes a few seconds. */
const WITHIN_MS = 30_000;

interface Observed {
  readonly worker: Worker;
  /** Waits until /readyz is red, and resolves to the part that is. */
  red(code: string, why?: RegExp): Promise<Readiness>;
  green(): Promise<void>;
}

async function observe(database: Database, nats: NatsServer, automations: readonly Automation[]): Promise<Observed> {
  const http = { host: "127.0.0.1", port: await freePort() };
  const sources = { shop: { kind: "postgres", url: database.url } };
  const config = { http, sources, automations, bus: { servers: nats.url, fsync: "always" } };
  const timing = { pingIntervalMs: 1_000, ackTimeoutMs: 1_000, lagEveryMs: 300 };
  const worker = await startWorker(config, { http: true, timing });
  worker.finished.catch(() => {}); // the test would see it
  onTestFinished(() => worker.stop());
  const ask = async (): Promise<{ code: number; parts: readonly Readiness[] }> => {
    const response = await fetch(`http://127.0.0.1:${http.port}/readyz`);
    return { code: response.status, parts: ((await response.json()) as { parts: readonly Readiness[] }).parts };
  };
  const timeoutMs = WITHIN_MS;
  return {
    worker,
    red: (reason, why = /./) =>
      waitFor(
        async () => {
          const { code, parts } = await ask();
          return code === 503
            ? parts.find((part) => !part.ready && part.code === reason && why.test(part.reason))
            : undefined;
        },
        { what: `/readyz to be red with ${reason}`, timeoutMs },
      ),
    green: async () => {
      await waitFor(async () => (await ask()).code === 200, { what: "/readyz to be green", timeoutMs });
    },
  };
}

describe.skipIf(missing("postgres", "nats"))("/readyz", () => {
  test("is red while a table's lock holds up the start, a handler ignores its timeout or nears it, and NATS is down", {
    timeout: 240_000,
  }, async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query("create table orders(id int primary key); create table patients(id int primary key)");
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let releasePatient: () => void = () => {};
    const releasedPatient = new Promise<void>((resolve) => {
      releasePatient = resolve;
    });
    const orders = collection<{ id: number }>("shop", "public.orders");
    const options = { on: orders.created(), timeout: "500ms", start: "earliest" } as const;
    const stubborn = automation("stubborn", options, () => released);
    const patients = collection<{ id: number }>("shop", "public.patients");
    const waits = { on: patients.created(), timeout: "6s", start: "earliest" } as const;
    const patient = automation("patient", waits, () => releasedPatient);

    const locker = await database.connect();
    await locker.query("begin; lock table orders in access exclusive mode");
    const { red, green } = await observe(database, nats, [stubborn, patient]);
    const locked = await red("SOURCE_LOCKED");
    expect(locked).toMatchObject({ kind: "source", id: "shop" });
    expect(locked.reason).toMatch(/^retrying: SOURCE_LOCKED: .*lock timeout/);
    await locker.query("commit");
    await locker.end();
    await green();

    await database.query("insert into orders values (1)");
    const stuck = await red("HANDLER_STUCK", /ignored/);
    expect(stuck).toMatchObject({
      kind: "automation",
      id: "stubborn",
      reason: expect.stringContaining("still run: 1"),
    });
    release();
    await green();

    await database.query("insert into patients values (1)");
    expect(await red("HANDLER_STUCK", /has run for \d s, and may for 6 s/)).toMatchObject({ id: "patient" });
    releasePatient();
    await green();

    await nats.stop();
    expect(await red("BUS_DISCONNECTED")).toMatchObject({ kind: "bus", id: "nats" });
    await nats.restart();
    await green();
  });

  test("is red when the stream stands still though the log moves; the source connects again by itself", {
    timeout: 120_000,
  }, async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query("create table orders(id int primary key)");
    const { worker, red, green } = await observe(database, nats, []);
    await green();
    await waitFor(() => worker.status().sources[0]?.heartbeatSeconds !== undefined, { what: "the first heartbeat" });
    const [slot] = await database.query<{ pid: number }>(
      "select active_pid as pid from pg_replication_slots where database = current_database() and active",
    );

    process.kill(Number(slot?.pid), "SIGSTOP");
    try {
      expect((await red("SOURCE_STUCK")).reason).toMatch(
        /^retrying: SOURCE_STUCK: the log has reached .*stands still at/,
      );
    } finally {
      process.kill(Number(slot?.pid), "SIGCONT");
    }
    await green();
    await database.query("insert into orders values (1)");
    await waitFor(() => worker.status().sources[0]?.published === 1, { what: "a change to pass" });
  });

  test("is red when NATS takes nothing though it is connected to, and green again after", {
    timeout: 120_000,
  }, async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query("create table orders(id int primary key)");
    const { red, green } = await observe(database, nats, []);
    await green();

    nats.pause();
    onTestFinished(() => nats.resume());
    await red("BUS_DISCONNECTED");
    nats.resume();
    await green();
  });
});
