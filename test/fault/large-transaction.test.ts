// A transaction far larger than a batch, and the worker killed in its middle.

import { describe, expect, test } from "vitest";
import { isComplete, type Position } from "../../src/event/position.ts";
import { countMessages } from "../support/bus/count-messages.ts";
import { lastPosition } from "../support/bus/stream-events.ts";
import { assertGuarantees } from "../support/check/guarantees.ts";
import { createTruthSlot } from "../support/check/truth.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { freshDatabase, freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const ROWS = 200_000;

describe.skipIf(missing("postgres", "nats"))("a worker killed in the middle of 200,000 rows", () => {
  test("goes on inside the transaction: the stream holds each row once, in order", { timeout: 180_000 }, async () => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query("create table item(id int primary key, note text)");
    const truth = await createTruthSlot(database.url);
    const first = await WorkerProcess.start({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url, tables: ["public.item"] } },
    });
    await first.logged("source_started");
    await database.query("insert into item select i, 'note ' || i from generate_series(1, $1::int) i", [ROWS]);
    const events = async (): Promise<number> => (await countMessages(nats.url, "shop")).events;
    await waitFor(async () => (await events()) > 20_000, { what: "a part of the transaction", timeoutMs: 60_000 });
    await first.kill();
    const stored = await events();
    const middle = await lastPosition(nats.url, "CDC_SHOP");

    await using second = await first.again();
    await waitFor(async () => (await events()) >= ROWS, { what: "all rows", timeoutMs: 120_000 });
    expect(await second.stop()).toBe(0);
    expect(stored).toBeLessThan(ROWS);
    expect(isComplete(middle as Position)).toBe(false);
    expect(await events()).toBe(ROWS);
    await assertGuarantees({ truth: await truth.read(), natsUrl: nats.url, source: "shop" });
  });
});
