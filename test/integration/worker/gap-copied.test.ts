// `onGap: "backfill"` on real servers: a slot is lost under load, rows are changed and deleted meanwhile, and whoever applies the stream
// has what the tables hold once it says that the gap is made good.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker } from "../../../src/app.ts";
import { startBackfill } from "../../../src/cli/command/backfill.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { newestOf, newestProgress } from "../../support/bus/order-backfill.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { CopiedState } from "../../support/check/copied-state.ts";
import { type Database, freshDatabase, freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const ROWS = 3000;
const TABLES = `
  create sequence version;
  create table item(id int primary key, v bigint not null default nextval('version'));
  create table final(id int primary key, v bigint not null default nextval('version'));
  insert into item select generate_series(1, ${ROWS});`;

/** Writes until it is stopped. */
function writing(database: Database): { stop(): Promise<void> } {
  let stopped = false;
  const done = (async () => {
    for (let n = 1; !stopped; n++) {
      await database.query(`update item set v = nextval('version') where id % 97 = ${n % 97}`);
      await database.query(`delete from item where id = ${1 + ((n * 7) % ROWS)}`);
      await database.query(`insert into item(id) values (${ROWS + n})`);
    }
  })();
  done.catch(() => {});
  return {
    stop: async () => {
      stopped = true;
      await done;
    },
  };
}

async function shop() {
  const nats = await freshNats();
  const database = await freshDatabase();
  onTestFinished(() => database[Symbol.asyncDispose]());
  await database.query(TABLES);
  const configOf = (onGap: string) => ({
    bus: { servers: nats.url, fsync: "2m" },
    sources: { shop: { kind: "postgres", url: database.url, backfill: "initial", onGap } },
  });
  const start = async (onGap: string, adopt = false): Promise<Worker> => {
    const worker = await startWorker(configOf(onGap), { adopt, timing: { idleCheckMs: 500, lagEveryMs: 300 } });
    worker.finished.catch(() => {}); // the test that waits for it sees it
    onTestFinished(() => worker.stop());
    return worker;
  };
  const completed = (backfill: number) =>
    waitFor(
      async () => {
        const newest = await newestProgress(nats.url);
        return newest?.backfill === backfill && newest.state === "completed";
      },
      { what: `copy ${backfill} to be complete` },
    );
  /** What a subscriber holds once the stream has all that was written by now. */
  const applied = async (): Promise<CopiedState> => {
    const [row] = await database.query<{ id: number }>("insert into final select count(*) + 1 from final returning id");
    const has = async (): Promise<boolean> =>
      JSON.parse((await newestOf(nats.url, "cdc.shop.public.final.created.*")) ?? "{}").key?.id === row?.id;
    await waitFor(has, { what: "the stream to hold all" });
    return new CopiedState(await readStream(nats.url, "CDC_SHOP"));
  };
  const held = async (): Promise<readonly string[]> => {
    const rows = await database.query<{ id: number; v: string }>("select id, v from item");
    return rows.map(({ id, v }) => `${id} ${v}`).toSorted();
  };
  return { nats, database, configOf, start, completed, applied, held };
}

const itemsOf = (state: CopiedState): readonly string[] =>
  Object.values(state.table("item"))
    .map((row) => row as { readonly id: number; readonly v: string })
    .map(({ id, v }) => `${id} ${v}`)
    .toSorted();

describe.skipIf(missing("postgres", "nats"))("a gap that a copy makes good", () => {
  test("by onGap: the stream names it with the copy that begins and with the one that is complete, and deleted rows are known", {
    timeout: 90_000,
  }, async () => {
    const { nats, database, start, completed, applied, held } = await shop();
    const first = await start("backfill");
    await completed(1);
    const load = writing(database);
    await waitFor(() => (first.status().sources[0]?.published ?? 0) > 50, { what: "the stream to follow the load" });
    await first.stop();
    await database.query(
      `delete from item where id % 10 = 3; update item set v = nextval('version') where id % 10 = 4`,
    );
    await database.query("select pg_drop_replication_slot('millrace_shop')");
    const second = await start("backfill");
    await completed(2);
    await load.stop();
    const state = await applied();
    await second.stop();

    const [gap] = state.progress?.gaps ?? [];
    expect(state.wrong).toEqual([]);
    expect(state.dropped).toBeGreaterThan(ROWS / 20);
    expect(itemsOf(state)).toEqual(await held());
    expect(gap).toMatchObject({
      code: "SLOT_MISSING",
      after: expect.stringMatching(/^0001/),
      upTo: expect.stringMatching(/^0002/),
    });
    const meta = (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => /gap|backfill/.test(subject));
    const [marker, ...copy] = meta.slice(meta.findIndex(({ subject }) => subject === "meta.shop.gap"));
    expect(JSON.parse(marker?.text ?? "")).toMatchObject(gap ?? {});
    expect(copy.map(({ text }) => JSON.parse(text).gaps)).toEqual(copy.map(() => [gap]));
    expect(JSON.parse(copy[0]?.text ?? "")).toMatchObject({ backfill: 2, state: "copying", rows: 0 });
  });

  test("by hand: onGap: continue orders nothing, and --from-gap copies what the newest gap covers", {
    timeout: 90_000,
  }, async () => {
    const { nats, database, configOf, start, completed, applied, held } = await shop();
    const config = join(await scratchDir(), "millrace.config.json");
    await writeFile(config, JSON.stringify(configOf("continue")));
    const { signal } = new AbortController();
    const order = (more: object = {}) =>
      startBackfill({
        ...{ config, signal, source: "shop", collections: [], detach: true, json: false, log: silentLogger },
        ...{ print: async () => {}, fromGap: true, ...more },
      });
    const first = await start("continue");
    await completed(1);
    await expect(order()).rejects.toMatchObject({
      code: "BACKFILL_FROM_GAP",
      message: "the stream of shop has no gap",
    });
    await first.stop();
    await database.query("select pg_drop_replication_slot('millrace_shop'); delete from item where id % 10 = 3");
    const second = await start("continue");
    await waitFor(() => newestOf(nats.url, "meta.shop.gap"), { what: "the gap to be told" });
    const before = await applied();
    await expect(order({ collections: ["public.item"] })).rejects.toMatchObject({ code: "BACKFILL_FROM_GAP" });
    await order();
    await completed(2);
    const after = await applied();
    await second.stop();

    expect([before.progress?.backfill, itemsOf(before).length]).toEqual([1, ROWS]);
    expect([after.progress?.gaps?.length, after.dropped]).toEqual([1, ROWS / 10]);
    expect(itemsOf(after)).toEqual(await held());
  });
});
