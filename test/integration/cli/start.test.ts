// The start of a worker inside an application: seen from outside before there is a bus, and nothing left of one that fails.

import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { automation, event } from "../../../src/index.ts";
import type { Readiness } from "../../../src/monitor/status.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const LOCAL = "127.0.0.1";

async function ground() {
  const database = await freshDatabase();
  onTestFinished(() => database[Symbol.asyncDispose]());
  await database.query("create table orders(id int primary key)");
  const http = { host: LOCAL, port: await freePort() };
  const get = (path: string): Promise<Response> => fetch(`http://${LOCAL}:${http.port}${path}`);
  const sources = { shop: { kind: "postgres", url: database.url } };
  return { database, get, config: { http, sources } };
}

const sessions = async (database: Database): Promise<number> => {
  const [row] = await database.query<{ count: number }>(
    "select count(*)::int from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
  );
  return row?.count ?? -1;
};

describe.skipIf(missing("postgres", "nats"))("a worker that starts", () => {
  test("answers while NATS is away, red with the reason and with the guard's metrics, and is green once it is there", async () => {
    const { get, config } = await ground();
    const nats = await freshNats();
    await nats.stop();
    const starting = startWorker({ ...config, bus: { servers: nats.url, fsync: "always" } }, { http: true });
    const parts = async (): Promise<readonly Readiness[]> =>
      ((await (await get("/readyz")).json()) as { parts: readonly Readiness[] }).parts;
    await waitFor(async () => (await get("/healthz")).status === 200, { what: "the port" });

    expect((await get("/readyz")).status).toBe(503);
    expect(await parts()).toMatchObject([
      { kind: "bus", id: "nats", ready: false, code: "BUS_DISCONNECTED", reason: "not connected" },
      { kind: "source", id: "shop", ready: false, code: "BUS_DISCONNECTED" },
    ]);
    expect(await (await get("/api/status")).json()).toMatchObject({ sources: [{ state: "starting", published: 0 }] });
    await waitFor(
      async () =>
        (await (await get("/metrics")).text()).includes('millrace_guard_sees{source="shop",kind="postgres"} 1'),
      {
        what: "the guard to see",
      },
    );

    await nats.restart();
    const worker = await starting;
    onTestFinished(() => worker.stop());
    worker.finished.catch(() => {}); // the test would see it
    await waitFor(async () => (await get("/readyz")).status === 200, {
      what: "/readyz to be green",
    });
  });

  test("leaves neither guard nor port behind when the bus refuses it", async () => {
    const { database, get, config } = await ground();
    const users = "no_auth_user: u\naccounts { A { jetstream: enabled, users: [{ user: u, password: p }] } }";
    const servers = (await freshNats({ config: users })).url.replace("nats://", "nats://u:wrong@");
    const refused = startWorker({ ...config, bus: { servers } }, { http: true });

    await expect(refused).rejects.toMatchObject({ code: "BUS_AUTH" });
    await expect(get("/healthz")).rejects.toThrow();
    await waitFor(async () => (await sessions(database)) === 0, { what: "the guard's session to end" });
  });

  test("touches no server when an automation can never be called", async () => {
    const { database, get, config } = await ground();
    const nats = await freshNats();
    await nats.stop();
    const deaf = automation("deaf", { on: event("order.paid") }, () => {});
    const refused = startWorker({ ...config, automations: [deaf], bus: { servers: nats.url } }, { http: true });

    await expect(refused).rejects.toMatchObject({ code: "AUTOMATION_WITHOUT_OUTBOX" });
    await expect(get("/healthz")).rejects.toThrow();
    expect(await sessions(database)).toBe(0);
  });
});
