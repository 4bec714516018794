// A driver's call that throws a TypeError: no database that is away, and nothing to try again.

import { Client } from "pg";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { startWorker, type Worker } from "../../../src/app.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Until it is disposed of the driver fails where a statement matches. */
function breakDriver(statement: RegExp): Disposable {
  const query = Client.prototype.query as (...given: readonly unknown[]) => unknown;
  const spy = vi.spyOn(Client.prototype as { query: typeof query }, "query");
  spy.mockImplementation(function (this: Client, ...given) {
    if (statement.test(String(given[0]))) throw new TypeError("x is undefined");
    return query.apply(this, given);
  });
  return { [Symbol.dispose]: () => spy.mockRestore() };
}

interface Observed {
  readonly worker: Worker;
  readonly metrics: () => Promise<string>;
}

async function observe(database: Database): Promise<Observed> {
  const nats = await freshNats();
  const http = { host: "127.0.0.1", port: await freePort() };
  const sources = { shop: { kind: "postgres", url: database.url, timeout: "3s" } };
  const config = { http, sources, bus: { servers: nats.url, fsync: "always" } };
  const worker = await startWorker(config, { http: true, timing: { lagEveryMs: 100, guardEveryMs: 600_000 } });
  worker.finished.catch(() => {}); // the test looks at it
  onTestFinished(() => worker.stop());
  return { worker, metrics: async () => (await fetch(`http://127.0.0.1:${http.port}/metrics`)).text() };
}

async function endsByBug({ worker, metrics }: Observed): Promise<void> {
  await expect(worker.finished).rejects.toMatchObject({ name: "BugError", code: "BUG" });
  const [source] = worker.status().parts.filter(({ kind }) => kind === "source");
  expect(source).toMatchObject({ ready: false, code: "BUG", reason: "stopped: BUG: TypeError: x is undefined" });
  const counted = await metrics();
  expect(counted).toContain('millrace_source_bugs_total{source="shop"} 1');
  expect(counted).toContain('millrace_source_retries_total{source="shop"} 0');
}

describe.skipIf(missing("postgres", "nats"))("a TypeError in the driver", () => {
  test("ends a start as a bug that is counted, and is not tried again", async () => {
    await using database = await freshDatabase();
    await database.query("create table orders(id int primary key)");

    using _ = breakDriver(/pg_replication_slots/);

    await endsByBug(await observe(database));
  });

  test.each([
    ["in the look at the lag", /confirmed_flush_lsn/],
    ["in the heartbeat", /pg_logical_emit_message/],
    ["in the look for new tables", /pg_publication_rel/],
  ])("%s ends a running source, though its stream goes on", async (_what, statement) => {
    await using database = await freshDatabase();
    await database.query("create table orders(id int primary key)");
    const observed = await observe(database);
    await waitFor(() => observed.worker.status().ready, { what: "the worker to be ready" });

    using _ = breakDriver(statement);

    await endsByBug(observed);
  });
});
