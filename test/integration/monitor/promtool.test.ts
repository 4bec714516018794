// /metrics as Prometheus' own linter sees it; where promtool is not installed this says so and is skipped.

import { execFile, spawnSync } from "node:child_process";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { automation, collection } from "../../../src/index.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const installed = spawnSync("promtool", ["--version"]).error === undefined;
if (!installed) console.error("skipping tests: no promtool (Debian package prometheus)");

async function lint(metrics: string): Promise<string> {
  const child = execFile("promtool", ["check", "metrics"]);
  child.stdin?.end(metrics);
  const [out, error] = await Promise.all(
    [child.stdout, child.stderr].map((stream) => text(stream as NodeJS.ReadableStream)),
  );
  return `${out}${error}`;
}

test.skipIf(!installed || missing("postgres", "nats"))(
  "promtool finds nothing to say of what a worker with a source and an automation measures",
  async () => {
    await using database = await freshDatabase();
    await using nats = await freshNats();
    await database.query("create table orders(id int primary key)");
    const greet = automation("greet", { on: collection("shop", "public.orders").created() }, () => {});
    const port = await freePort();
    const worker = await startWorker(
      {
        bus: { servers: nats.url },
        sources: { shop: { kind: "postgres", url: database.url } },
        automations: [greet],
        http: { port },
      },
      { http: true },
    );
    onTestFinished(() => worker.stop());
    await waitFor(() => worker.status().ready, { what: "the source to be read" });
    await database.query("insert into orders values (1)");
    await waitFor(() => worker.status().automations[0]?.handled === 1, { what: "the row to be handled" });

    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();

    expect(metrics).toContain("nodejs_active_handles");
    expect(await lint(metrics)).toBe("");
    expect(await lint("wrong_total 1\n")).not.toBe(""); // it does look
  },
);
