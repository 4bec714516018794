// Existing rows copied while they are changed, moved and deleted, by workers that are killed in the middle: whoever applies the
// stream in its order never goes back in time, reads no row twice, and ends with what the tables hold.

import { describe, expect, test } from "vitest";
import { newestOf, newestProgress, orderBackfill } from "../support/bus/order-backfill.ts";
import { streamEvents } from "../support/bus/stream-events.ts";
import { CopiedState } from "../support/check/copied-state.ts";
import { seedOf } from "../support/fault-ground.ts";
import { CrashingWorker } from "../support/process/crashing-worker.ts";
import { type Database, freshDatabase, freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

/** Of the largest table. `BACKFILL_ROWS=1000000` takes minutes, and some GiB of disk and memory. */
const ROWS = Number(process.env.BACKFILL_ROWS ?? 20_000);
const SCALE = ROWS / 20_000;
const WRITERS = Number(process.env.BACKFILL_WRITERS ?? 2);

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
    () => `update item set ${NEXT} where id in (select generate_series(${below(ROWS / 8)}, ${2 * ROWS}, ${ROWS / 8}))`,
    () => `update item set ${NEXT}, note = 'changed' where id = ${1 + below(ROWS)}`,
    () => `delete from item where id = ${1 + below(ROWS)}`,
    () => {
      const to = ROWS + 1 + below(ROWS);
      return `update item set id = ${to}, ${NEXT} where id = ${1 + below(ROWS)} and not exists (select from item where id = ${to})`;
    },
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
  const writers = Promise.all(Array.from({ length: WRITERS }, writer));
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
    timeout: 300_000 * Math.max(1, SCALE / 2),
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
      const crash = { point: "mid-backfill-chunk" as const, nth: Math.ceil(nth * SCALE) };
      await using worker = new CrashingWorker({ config, crash });
      if (load === undefined) {
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
      ...{ what: "the copy to be complete", timeoutMs: 120_000 * Math.max(1, SCALE / 2) },
    });
    await load?.stop();
    await database.query("insert into final values (1)");
    await waitFor(() => newestOf(nats.url, "cdc.shop.public.final.>"), {
      ...{ what: "the stream to hold all" },
    });
    const state = new CopiedState();
    for await (const event of streamEvents(nats.url, "CDC_SHOP")) state.apply(event);
    expect(await last.stop()).toBe(0);

    expect(state.wrong).toEqual([]);
    for (const [table, key] of [
      ["item", "json_build_object('id', id)"],
      ["parted", "json_build_object('id', id, 'region', region)"],
      ["queue", "json_build_object('a', a, 'b', b)"],
    ] as const) {
      expect(await differences(state.tables.get(table) ?? new Map(), database, table, key), table).toEqual([]);
    }
    console.error(`${state.reads} rows read, ${state.applied} messages applied`);
    expect(state.progress).toMatchObject({ backfill: 1, done: 4, rows: state.reads });
    expect(state.reads).toBeGreaterThan(ROWS / 2);
  });

  test("that has passed the place to which a row moves reads it there, though the worker is killed before any marker tells of it", {
    timeout: 300_000,
  }, async () => {
    await using nats = await freshNats({ syncInterval: "always" });
    await using database = await freshDatabase();
    await database.query(`
      create table item(id int primary key, v bigint not null default 1, doc text);
      alter table item alter doc set storage external;
      insert into item(id, doc) select i, repeat('d', 2500) from generate_series(1, 1000) i`);
    const source = { kind: "postgres", url: database.url };
    const config = { bus: { servers: nats.url, fsync: "always" as const }, sources: { shop: source } };
    {
      await using first = new CrashingWorker({ config, crash: undefined });
      await waitFor(() => newestOf(nats.url, "meta.shop.history"), { what: "the first start", timeoutMs: 60_000 });
      await orderBackfill(nats.url, { rate: 100 });
      await waitFor(async () => Number((await newestProgress(nats.url))?.rows) > 0, { what: "some rows to be copied" });
      await database.query("update item set id = -id, v = 2 where id > 990");
      await waitFor(() => newestOf(nats.url, "cdc.shop.public.item.created.*"), { what: "the rows to have moved" });
      await first.kill();
    }
    await using last = new CrashingWorker({ config, crash: undefined });
    await orderBackfill(nats.url, { rate: 1e6 });
    await waitFor(async () => (await newestProgress(nats.url))?.state === "completed", {
      ...{ what: "the copy to be complete", timeoutMs: 120_000 },
    });
    const state = new CopiedState();
    for await (const event of streamEvents(nats.url, "CDC_SHOP")) state.apply(event);
    expect(await last.stop()).toBe(0);
    expect(state.wrong).toEqual([]);
    const key = "json_build_object('id', id)";
    expect(await differences(state.tables.get("item") ?? new Map(), database, "item", key)).toEqual([]);
  });
});

type Row = Readonly<Record<string, unknown>>;

/** The first of the keys whose rows differ, with the columns that do, short. */
async function differences(
  is: ReadonlyMap<string, Row>,
  database: Database,
  table: string,
  key: string,
): Promise<readonly string[]> {
  const different: string[] = [];
  const short = (value: unknown): string => String(JSON.stringify(value)).slice(0, 20);
  let held = 0;
  const client = await database.connect();
  try {
    await client.query(`begin; declare held cursor for select ${key} as key, to_jsonb(t) as row from ${table} t`);
    for (;;) {
      const { rows } = await client.query<{ key: unknown; row: Row }>("fetch 10000 from held");
      if (rows.length === 0) break;
      held += rows.length;
      for (const { key: one, row } of rows) {
        const name = JSON.stringify(one);
        const told = is.get(name);
        if (told === undefined) different.push(`${name} is missing`);
        for (const column of told === undefined ? [] : Object.keys({ ...told, ...row })) {
          // A bigint is a text in an event.
          const [mine, theirs] = [told?.[column], column === "v" ? String(row.v) : row[column]];
          if (mine !== theirs) different.push(`${name}: ${column} is ${short(mine)} and should be ${short(theirs)}`);
        }
      }
    }
  } finally {
    await client.end();
  }
  if (is.size !== held) different.push(`${is.size} rows are told of, and ${held} are there`);
  return different.length > 10 ? [`${different.length} differ`, ...different.slice(0, 10)] : different;
}
