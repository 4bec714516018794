// A slot that another role's reader holds: red with the reason, nothing taken by force, green again after.

import { Client, type ClientConfig } from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../../../src/app.ts";
import { freePort } from "../../../../../src/dev/free-port.ts";
import { freshDatabase, freshNats, freshPostgres, missing } from "../../../../support/servers.ts";
import { waitFor } from "../../../../support/wait-for.ts";

describe.skipIf(missing("postgres", "nats"))("a slot held by another", () => {
  test("/readyz is red and names the holder, and green once it has left", async () => {
    const server = await freshPostgres();
    await using database = await freshDatabase(server);
    const nats = await freshNats();
    await database.query("create table orders(id int primary key)");
    await database.query("create publication millrace_shop for table orders with (publish_via_partition_root = true)");
    await database.query("create role least login replication");
    const http = { host: "127.0.0.1", port: await freePort() };
    const sources = { shop: { kind: "postgres", url: database.url.replace("postgres@", "least@") } };
    const config = { http, sources, bus: { servers: nats.url } };
    const ready = async (): Promise<{ readonly code: number; readonly reason: string | undefined }> => {
      const response = await fetch(`http://127.0.0.1:${http.port}/readyz`);
      const { parts } = (await response.json()) as {
        readonly parts: readonly { readonly id: string; readonly reason: string }[];
      };
      return { code: response.status, reason: parts.find(({ id }) => id === "shop")?.reason };
    };
    const first = await startWorker(config, { http: true });
    await waitFor(async () => (await ready()).code === 200, { what: "the worker to be ready" });
    await first.stop();

    const active = async (): Promise<number | undefined> =>
      (await database.query<{ pid: number }>("select active_pid as pid from pg_replication_slots where active"))[0]
        ?.pid;
    await waitFor(async () => (await active()) === undefined, { what: "the slot to be free" }); // some time after its reader

    const holder = new Client({ connectionString: database.url, replication: "database" } as ClientConfig);
    holder.on("error", () => {});
    await holder.connect();
    const held = holder.query(
      "START_REPLICATION SLOT millrace_shop LOGICAL 0/0 (proto_version '1', publication_names 'millrace_shop')",
    );
    held.catch(() => {}); // it ends with its connection
    const pid = await waitFor(active, { what: "the slot to be held" });

    const worker = await startWorker(config, { http: true });
    worker.finished.catch(() => {}); // the test would see it
    onTestFinished(() => worker.stop());
    let green = 0;
    const looking = setInterval(() => {
      if (worker.status().ready) green++;
    }, 1);
    onTestFinished(() => clearInterval(looking));
    const red = await waitFor(
      async () => {
        const now = await ready();
        return now.reason?.includes("SLOT_ACTIVE") ? now : undefined;
      },
      { what: "/readyz to name the slot" },
    );
    expect(red).toEqual({ code: 503, reason: expect.stringMatching(/^retrying: SLOT_ACTIVE: .*millrace_shop/) });
    expect(red.reason).toContain(String(pid));
    expect(await active()).toBe(pid);
    expect(green).toBe(0); // not for a moment, though the lease was free and all that came before was fine

    await database.query("select pg_terminate_backend($1)", [pid]);
    await waitFor(async () => (await ready()).code === 200, { what: "/readyz to be green again", timeoutMs: 60_000 });
  }, 180_000);
});
