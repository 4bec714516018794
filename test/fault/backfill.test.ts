// Existing rows copied while they are changed, moved and deleted, by workers that are killed in the middle: whoever applies the
// stream in its order never goes back in time, reads no row twice, and ends with what the tables hold.

import { describe, expect, test } from "vitest";
import { newestOf, newestProgress, orderBackfill } from "../support/bus/order-backfill.ts";
import { readStream } from "../support/bus/stream-events.ts";
import { CopiedState } from "../support/check/copied-state.ts";
import { seedOf } from "../support/fault-ground.ts";
import { CrashingWorker } from "../support/process/crashing-worker.ts";
import { type Database, freshDatabase, freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const ROWS = 20_000;

const tables = `
  create sequence version;
  create table item(id int primary key, v bigint not null default nextval('version'), note text, doc text);
  alter table item alter doc set storage external;
  create table parted(region text, id int, v bigint not null default nextval('version'), primary key (region, id)) partition by list (region);
  create table parted_north partition of parted for values in ('north');
  create table parted_south partition of parted for values in ('south');
  create table queue(a text, b int, v bigint not null default nextval('version'), primary key (b, a));
  create table final(id int primary key, v bigint not null default nextval('version'));
  insert into item(id, note, doc) select i, repeat('x', i % 50), case when i % 20 = 0 then repeat('d', 2500) end from generate_series(1, ${ROWS}) i;
  insert into parted select case when i % 2 = 0 then 'north' else 'south' end, i from generate_series(1, ${ROWS / 4}) i;
  insert into queue select chr(97 + i % 26), i / 26 from generate_series(1, ${ROWS / 4}) i;`;

const NEXT = "v = nextval('version')";

/** Writes of all kinds, until it is stopped. */
function writing(database: Database, seed: number): { stop(): Promise<void> } {
  let state = seed >>> 0;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const kinds: readonly (() => string)[] = [
    () => `update item set ${NEXT} where id % ${ROWS / 8} = ${below(ROWS / 8)}`,
    () => `update item set ${NEXT}, note = 'changed' where id = ${1 + below(ROWS)}`,
    () => `delete from item where id = ${1 + below(ROWS)}`,
    () =>
      `update item set id = ${ROWS + 1 + below(ROWS)}, ${NEXT} where id = ${1 + below(ROWS)} and not exists (select from item)`,
    () => `insert into item values (${1 + below(2 * ROWS)}) on conflict (id) do update set ${NEXT}`,
    () =>
      `with gone as (delete from item where id = ${1 + below(ROWS)} returning id) insert into item select id + ${2 * ROWS} from gone on conflict do nothing`,
    () =>
      `update item set id = -id, ${NEXT} where id = ${1 + below(ROWS)} and not exists (select from item i where i.id = -item.id)`,
    () =>
      `update parted set region = case region when 'north' then 'south' else 'north' end, ${NEXT} where id = ${1 + below(ROWS / 4)}`,
    () => `update queue set ${NEXT} where b = ${below(ROWS / 100)} and a < 'e'`,
  ];
  let stopped = false;
  const writer = async (): Promise<void> => {
    const client = await database.connect();
    try {
      while (!stopped) {
        const statements = Array.from({ length: 1 + below(3) }, () => (kinds[below(kinds.length)] as () => string)());
        const end = below(8) === 0 ? "rollback" : "commit";
        if (below(400) === 0) await client.query("truncate queue");
        // Two cores: the copy must come to its turn.
        await client
          .query(`select pg_sleep(0.05); begin; ${statements.join("; ")}; ${end}`)
          .catch(async (error: { code?: string }) => {
            await client.query("rollback");
            // Two writers in each other's way.
            if (error.code !== "40P01" && error.code !== "23505") throw error;
          });
      }
    } finally {
      await client.end();
    }
  };
  const writers = Promise.all([writer(), writer()]);
  writers.catch(() => {});
  return {
    stop: async () => {
      stopped = true;
      await writers;
    },
  };
}

describe.skipIf(missing("postgres", "nats"))("a copy of existing rows", () => {
  test("beside writes, by workers killed in the middle of it, ends with what the tables hold", {
    timeout: 120_000,
  }, async () => {
    const seed = seedOf("backfill");
    await using nats = await freshNats({ syncInterval: "always" });
    await using database = await freshDatabase();
    await database.query(tables);
    const config = {
      bus: { servers: nats.url, fsync: "always" as const },
      sources: { shop: { kind: "postgres", url: database.url } },
    };
    let load: ReturnType<typeof writing> | undefined;
    for (const nth of [3, 6, 1 + (seed % 9)]) {
      await using worker = new CrashingWorker({ config, crash: { point: "mid-backfill-chunk", nth } });
      if (nth === 3) {
        await waitFor(() => newestOf(nats.url, "meta.shop.history"), {
          what: "the first start",
          timeoutMs: 60_000,
        });
        load = writing(database, seed);
        await orderBackfill(nats.url);
      }
      expect(await worker.ended()).toBe("SIGKILL");
    }
    await using last = new CrashingWorker({ config, crash: undefined });
    await waitFor(async () => (await newestProgress(nats.url))?.state === "completed", {
      ...{ what: "the copy to be complete", timeoutMs: 60_000 },
    });
    await load?.stop();
    await database.query("insert into final values (1)");
    await waitFor(() => newestOf(nats.url, "cdc.shop.public.final.>"), {
      ...{ what: "the stream to hold all", timeoutMs: 30_000 },
    });
    const state = new CopiedState(await readStream(nats.url, "CDC_SHOP"));
    expect(await last.stop()).toBe(0);

    expect(state.wrong).toEqual([]);
    for (const [table, key] of [
      ["item", "json_build_object('id', id)"],
      ["parted", "json_build_object('id', id, 'region', region)"],
      ["queue", "json_build_object('a', a, 'b', b)"],
    ] as const) {
      const rows = await database.query<{ key: unknown; row: unknown }>(
        `select ${key} as key, to_jsonb(t) as row from ${table} t`,
      );
      const held = Object.fromEntries(rows.map(({ key, row }) => [JSON.stringify(key), row]).sort());
      expect(differences(withoutTextNumbers(state.table(table)), withoutTextNumbers(held)), table).toEqual([]);
    }
    expect(state.progress).toMatchObject({ backfill: 1, done: 4, rows: state.reads });
    expect(state.reads).toBeGreaterThan(ROWS / 2);
  });
});

/** The first of the keys whose rows differ, with the columns that do, short. */
function differences(
  is: Readonly<Record<string, object>>,
  should: Readonly<Record<string, object>>,
): readonly string[] {
  const different = [...new Set([...Object.keys(is), ...Object.keys(should)])].flatMap((key) => {
    const [one, other] = [is[key], should[key]] as (Readonly<Record<string, unknown>> | undefined)[];
    if (one === undefined || other === undefined) return [`${key} is ${one ? "only told" : "missing"}`];
    const columns = [...new Set([...Object.keys(one), ...Object.keys(other)])].filter(
      (name) => one[name] !== other[name],
    );
    const short = (value: unknown): string => String(JSON.stringify(value)).slice(0, 20);
    return columns.map((name) => `${key}: ${name} is ${short(one[name])} and should be ${short(other[name])}`);
  });
  return different.length > 10 ? [`${different.length} differ`, ...different.slice(0, 10)] : different;
}

/** A bigint is a text in an event. */
function withoutTextNumbers(rows: Readonly<Record<string, unknown>>): Readonly<Record<string, object>> {
  return Object.fromEntries(
    Object.entries(rows).map(([key, row]) => [key, { ...(row as object), v: Number((row as { v: unknown }).v) }]),
  );
}
