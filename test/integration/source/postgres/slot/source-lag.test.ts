// How far a running source is behind its database: in the status, in the metrics, and gone when it cannot be had.

import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../../../src/app.ts";
import { freePort } from "../../../../../src/dev/free-port.ts";
import { freshDatabase, freshNats, freshPostgres, missing } from "../../../../support/servers.ts";
import { waitFor } from "../../../../support/wait-for.ts";

describe.skipIf(missing("postgres", "nats"))("a source's lag", () => {
  test("what the bus has not synced is unconfirmed; a server that is away has no lag, and one that is back has", async () => {
    const server = await freshPostgres();
    await using database = await freshDatabase(server);
    const nats = await freshNats();
    await database.query("create table orders(id int primary key, status text)");
    const http = { host: "127.0.0.1", port: await freePort() };
    const sources = { shop: { kind: "postgres", url: database.url } };
    const worker = await startWorker(
      { http, sources, bus: { servers: nats.url, fsync: "10m" } },
      { http: true, timing: { lagEveryMs: 500 } },
    );
    worker.finished.catch(() => {}); // the test would see it
    onTestFinished(() => worker.stop());
    const lag = (): number | undefined => worker.status().sources[0]?.unconfirmedBytes;
    const metric = async (): Promise<number | undefined> => {
      const text = await (await fetch(`http://127.0.0.1:${http.port}/metrics`)).text();
      const [, value] = /^millrace_source_unconfirmed_bytes\{source="shop"\} (\d+)$/m.exec(text) ?? [];
      return value === undefined ? undefined : Number(value);
    };
    const long = { timeoutMs: 40_000 };

    await waitFor(() => lag() !== undefined, { what: "the first look", ...long });
    await database.query("insert into orders select n, repeat('x', 1000) from generate_series(1, 3000) n");
    await waitFor(() => (lag() ?? 0) > 3_000_000, { what: "the rows to be unconfirmed", ...long });
    expect(await metric()).toBeGreaterThan(3_000_000);

    await server.stop();
    await waitFor(async () => lag() === undefined && (await metric()) === undefined, { what: "no lag", ...long });
    await server.restart();
    await waitFor(() => (lag() ?? 0) > 3_000_000, { what: "the lag again", ...long });
  }, 180_000);
});
