// A worker that is stopped while the application writes on: `slots` says when its slot is full, the guard of another worker,
// whose bus is away, speaks before that, and after the restart all is caught up and green by itself.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startWorker } from "../../src/app.ts";
import { freePort } from "../../src/dev/free-port.ts";
import { countChanges } from "../support/bus/stream-events.ts";
import { RecordedLog } from "../support/postgres/recorded-log.ts";
import { writeSteadily } from "../support/postgres/write-steadily.ts";
import { runCommand } from "../support/process/run-command.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { type Database, freshDatabase, freshNats, freshPostgres, missing, scratchDir } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const BYTES_PER_SECOND = 4_000_000;
const quickly = { timeoutMs: 90_000 };
/** No checkpoint of the server's own falls into the test: a slot over its limit is lost at the next one, not before. */
const settings = { max_slot_wal_keep_size: "128MB", checkpoint_timeout: "1h", max_wal_size: "2GB" };

interface Forecast {
  readonly seconds: number;
  readonly atMs: number;
}

/** As the server says it: what may still be written. */
async function safeBytes(database: Database): Promise<number> {
  const [slot] = await database.query<{ safe: string }>("select safe_wal_size as safe from pg_replication_slots");
  return Number(slot?.safe);
}

async function forecast(cwd: string): Promise<Forecast> {
  const { stdout, stderr } = await runCommand(["slots", "--json"], { cwd });
  expect(stderr).toBe("");
  const { slots } = JSON.parse(stdout).servers[0] as {
    readonly slots: readonly { readonly name: string; readonly active: boolean; readonly fullInSeconds: number }[];
  };
  expect(slots).toMatchObject([{ name: "millrace_shop", active: false, fullInSeconds: expect.any(Number) }]);
  return { seconds: slots[0]?.fullInSeconds ?? Number.NaN, atMs: performance.now() };
}

const green = ({ httpUrl }: WorkerProcess): Promise<unknown> =>
  waitFor(async () => (await fetch(`${httpUrl}/readyz`)).status === 200, { what: "/readyz to be green", ...quickly });

describe.skipIf(missing("postgres", "nats"))("a worker that is stopped", () => {
  test("`slots` forecasts within 20 % when its slot is full, a guard speaks before, and the restart catches up and is green", {
    timeout: 240_000,
  }, async () => {
    const nats = await freshNats({ syncInterval: "always" });
    await using database = await freshDatabase(await freshPostgres(settings));
    await database.query("create table orders(id int primary key)");
    const sources = { shop: { kind: "postgres", url: database.url, guard: { timeToFull: "10s" } } };
    const config = { bus: { servers: nats.url, fsync: "always" }, sources };
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
    await using first = await WorkerProcess.start(config);
    await green(first);
    await database.query("insert into orders select generate_series(1, 100)");
    await waitFor(async () => (await countChanges(nats.url, "CDC_SHOP")) === 100, { what: "the rows", ...quickly });
    expect(await first.stop()).toBe(0);

    const [log, end, stop] = [new RecordedLog(), new AbortController(), new AbortController()];
    const away = { ...config, bus: { servers: `nats://127.0.0.1:${await freePort()}` } };
    const watching = startWorker(away, { log, timing: { guardEveryMs: 300 }, signal: end.signal });
    watching.catch(() => {}); // it ends by the signal
    await database.query("insert into orders select generate_series(101, 500)");
    const writing = writeSteadily(database, BYTES_PER_SECOND, stop.signal);
    try {
      const forecasts = [await forecast(cwd), await forecast(cwd), await forecast(cwd)];
      const spoken = await waitFor(() => log.of("guard_exceeded")[0], { what: "the guard to speak", ...quickly });
      expect(spoken).toMatchObject({ source: "shop", measure: "timeToFullSeconds", limit: 10 });
      expect(await safeBytes(database)).toBeGreaterThan(0);
      await waitFor(async () => (await safeBytes(database)) <= 0, { what: "the slot to be full", ...quickly });
      const fullMs = performance.now();
      const ratios = forecasts.map(({ seconds, atMs }) => seconds / ((fullMs - atMs) / 1000));
      const middle = ratios.toSorted((one, other) => one - other)[1];
      expect(middle, `forecast : real = ${ratios.join(", ")}`).toBeGreaterThan(0.8);
      expect(middle, `forecast : real = ${ratios.join(", ")}`).toBeLessThan(1.2);
    } finally {
      stop.abort();
      await writing;
      end.abort();
      await watching.catch(() => {});
    }

    await using second = await first.again();
    await green(second);
    await waitFor(async () => (await countChanges(nats.url, "CDC_SHOP")) === 500, { what: "the rest", ...quickly });
    await waitFor(async () => (await safeBytes(database)) > 0, { what: "the slot to move on", ...quickly });
    await database.query("checkpoint");
    const slots = "select slot_name as name, wal_status as status from pg_replication_slots";
    expect(await database.query(slots)).toEqual([{ name: "millrace_shop", status: "reserved" }]);
    await green(second);
    expect(await second.stop()).toBe(0);
  });
});
