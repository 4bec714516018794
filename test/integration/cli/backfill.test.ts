// `millrace backfill`: what is put on record and said, with no worker that obeys.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { readOrder } from "../../../src/backfill/order.ts";
import { LEASE_BUCKET, STATE_BUCKET } from "../../../src/bus/jetstream/client/buckets.ts";
import { openStateStore } from "../../../src/bus/jetstream/client/state-store.ts";
import { openBackfillOnBus } from "../../../src/bus/jetstream/commands/backfill-on-bus.ts";
import { checkpointKey } from "../../../src/bus/jetstream/lease/checkpoint-store.ts";
import { showBackfill, startBackfill, steerBackfill } from "../../../src/cli/command/backfill.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";

const shop = "shop" as SourceId;

describe.skipIf(missing("nats"))("millrace backfill", () => {
  async function ground() {
    const { url } = await freshNats();
    const config = join(await scratchDir(), "millrace.config.json");
    const sources = { shop: { kind: "postgres", url: "postgres://nobody@127.0.0.1:1/none" } };
    await writeFile(config, JSON.stringify({ bus: { servers: url }, sources }));
    let lines: string[] = [];
    const print = async (line: string): Promise<void> => void lines.push(line);
    const { signal } = new AbortController();
    const options = { config, signal, source: "shop", print };
    const said = (): string => {
      const text = lines.join("\n");
      lines = [];
      return text;
    };
    return {
      url,
      options,
      said,
      start: { ...options, collections: [], detach: true, json: false, log: silentLogger },
      show: { ...options, watch: false, json: false },
    };
  }

  test("orders one copy at a time, lets it rest and go on, and ends it; the next one has another number", async () => {
    const { options, said, start, show } = await ground();

    await showBackfill(show);
    expect(said()).toBe("shop was never copied: millrace backfill start shop");
    const none = steerBackfill({ ...options, to: "pause" });
    await expect(none).rejects.toMatchObject({
      code: "BACKFILL_NONE",
      message: "shop was never copied: there is nothing to pause",
    });
    expect(await startBackfill({ ...start, rate: "100" })).toBe(true);
    expect(said()).toBe(
      "copy 1 of shop is ordered: all that it reads\nno worker reads shop now: the copy waits for one (millrace run)",
    );
    await expect(startBackfill(start)).rejects.toMatchObject({
      code: "BACKFILL_RUNNING",
      message: "copy 1 of shop is not over: it is ordered",
    });
    await steerBackfill({ ...options, to: "resume" });
    expect(said()).toMatch(/^copy 1 of shop was not paused: it is ordered\nno worker reads shop now/);
    await steerBackfill({ ...options, to: "pause" });
    expect(said()).toMatch(
      /^copy 1 of shop is paused behind the batch in hand; it goes on with: millrace backfill resume/,
    );
    await steerBackfill({ ...options, to: "pause" });
    expect(said()).toMatch(
      /^copy 1 of shop is paused already, by \S+ at \S+; it goes on with: millrace backfill resume/,
    );
    await expect(startBackfill(start)).rejects.toMatchObject({ hint: expect.stringContaining("backfill resume shop") });
    await showBackfill(show);
    expect(said()).toMatch(
      /^copy 1 of shop: paused by \S+ at \S+; it goes on with: .*\n.*all .*, at most 100 rows\/s; last by/,
    );
    await steerBackfill({ ...options, to: "resume" });
    expect(said()).toMatch(/^copy 1 of shop goes on\n/);
    await steerBackfill({ ...options, to: "cancel" });
    expect(said()).toBe("copy 1 of shop is cancelled: what was copied stays in the stream");
    await steerBackfill({ ...options, to: "cancel" });
    expect(said()).toMatch(/^copy 1 of shop is cancelled already, by \S+ at \S+: what was copied stays in the stream$/);
    await expect(steerBackfill({ ...options, to: "resume" })).rejects.toMatchObject({
      code: "BACKFILL_NONE",
      message: "copy 1 of shop is cancelled: there is nothing to resume",
    });
    await startBackfill({ ...start, json: true });
    expect(JSON.parse(said())).toEqual({
      ...{ source: "shop", backfill: 2, state: "ordered", progress: null, toldAt: null, isRead: false },
      order: { backfill: 2, state: "running", by: expect.any(String), at: expect.any(String) },
      ...{ rowsPerSecond: null, estimatedSecondsLeft: null },
    });
  });

  test("another rate is put on record for one that goes on, and taken away by max", async () => {
    const { url, options, said, start } = await ground();
    const rate = async (): Promise<number | undefined> => {
      const { signal } = new AbortController();
      await using bus = await openBackfillOnBus({ servers: [url], replicas: 1, signal });
      return (await readOrder(bus.state, shop))?.order.rate;
    };

    for (const given of ["none", "0", "-5", "5k"])
      await expect(startBackfill({ ...start, rate: given })).rejects.toMatchObject({ code: "BACKFILL_RATE" });
    await startBackfill({ ...start, rate: "100" });
    said();
    await steerBackfill({ ...options, to: "resume", rate: "7.5" });
    expect(said()).toMatch(/^copy 1 of shop was not paused: it is ordered, at most 7.5 rows\/s\n/);
    expect(await rate()).toBe(7.5);
    await steerBackfill({ ...options, to: "resume", rate: "max" });
    expect(said()).toMatch(/^copy 1 of shop was not paused: it is ordered, as fast as it can\n/);
    expect(await rate()).toBe(undefined);
  });

  test("whoever stops following a copy is told that it goes on, and how to watch and end it", async () => {
    const { options, said, start } = await ground();
    const stop = new AbortController();
    const print = async (line: string): Promise<void> => {
      await options.print(line);
      if (line.startsWith("no worker")) stop.abort();
    };

    expect(await startBackfill({ ...start, detach: false, print, signal: stop.signal })).toBe(false);
    expect(said()).toMatch(
      /copy 1 of shop goes on without this command\n.*millrace backfill status shop --watch\n.*pause shop.*cancel shop$/,
    );
  });

  test("a worker reads the source as long as it renews its lease, and not once it gave it back or is gone", async () => {
    const { url } = await ground();
    const nc = await connect({ servers: url });
    const { signal } = new AbortController();
    await using bus = await openBackfillOnBus({ servers: [url], replicas: 1, signal });
    const leases = await openStateStore(nc, { bucket: LEASE_BUCKET, replicas: 1 });

    expect(await bus.isRead(shop)).toBe(false);
    const revision = await leases.put(shop, { number: 1, instance: "one" }, 0);
    expect(await bus.isRead(shop)).toBe(true);
    await leases.put(shop, { number: 1, instance: "" }, revision ?? expect.unreachable());
    expect(await bus.isRead(shop)).toBe(false);
    await (await jetstreamManager(nc)).streams.purge(`KV_${LEASE_BUCKET}`);
    expect(await bus.isRead(shop)).toBe(false);
    await nc.close();
  });

  test("a copy that is over is so also when its marker has left the stream, and another one can be ordered", async () => {
    const { url, said, start, show } = await ground();
    await startBackfill(start);
    await using stream = await ShopStream.create(url);
    const { created } = await (await jetstreamManager(stream.nc)).streams.info("CDC_SHOP");
    const state = await openStateStore(stream.nc, { bucket: STATE_BUCKET, replicas: 1 });
    const value = { backfill: 1, state: "completed", startedAt: "2026-01-02T03:00:00.000Z", rows: 400, done: 2 };
    const checkpoint = { position: {}, streamCreated: created, streamSeq: 9, id: "x", lease: 1 };
    const save = (more: object, revision: number) =>
      state.put(checkpointKey(shop), { ...checkpoint, ...more }, revision);
    const progress = { id: "shop.backfill.1.9", value };
    const revision = await save({ progress, streamCreated: "2020-01-01T00:00:00Z" }, 0);
    said();

    await showBackfill(show);
    expect(said()).toMatch(/^copy 1 of shop: not begun\n/); // of a stream that is no more
    await save({ progress }, revision ?? expect.unreachable());
    await showBackfill(show);
    expect(said()).toMatch(/^copy 1 of shop: completed\n.*\n {2}400 rows, 2 collections done$/);
    await startBackfill(start);
    expect(said()).toContain("copy 2 of shop is ordered");
  });

  test("a pattern of rows is refused before anything is asked of the database, or put on record", async () => {
    const { start, options, said } = await ground();
    const named = { ...start, collections: ["public.orders"] };

    await expect(startBackfill({ ...start, where: '{"after":{"id":[1]}}' })).rejects.toMatchObject({
      code: "BACKFILL_WHERE",
    });
    await expect(startBackfill({ ...named, where: "id = 1" })).rejects.toMatchObject({ code: "BACKFILL_WHERE" });
    await expect(startBackfill({ ...named, where: '{"op":["created"]}' })).rejects.toMatchObject({
      code: "PATTERN_INVALID",
    });
    await showBackfill({ ...options, json: false, watch: false });
    expect(said()).toContain("was never copied");
  });

  test("a source that is not there, or whose database does not answer for a name, is said", async () => {
    const { start } = await ground();

    await expect(startBackfill({ ...start, source: "shpo" })).rejects.toMatchObject({
      code: "SOURCE_UNKNOWN",
      hint: "The configuration has: shop.",
    });
    await expect(startBackfill({ ...start, collections: ["public.orders"] })).rejects.toBeInstanceOf(Error);
  });
});
