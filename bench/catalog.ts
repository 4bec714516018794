// What a source of two tables costs a database of many: a first start, a look at its tables (every ten seconds), and the
// description of a table that the log names. Beside the same look where there are no others.

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Client } from "pg";
import { startPostgres } from "../src/dev/postgres.ts";
import { describeTable } from "../src/source/postgres/client/catalog.ts";
import { boundaryBefore } from "../src/source/postgres/client/position.ts";
import { clientConfig, Session } from "../src/source/postgres/client/session.ts";
import { parsePostgresConfig } from "../src/source/postgres/options/config.ts";
import { RuleBook } from "../src/source/postgres/options/rule-book.ts";
import { TableWatch } from "../src/source/postgres/table-watch.ts";
import { lossPolicy } from "../src/worker/loss-policy.ts";
import { openShop, SHOP } from "../test/support/postgres/reader.ts";
import { readText } from "./ground.ts";
import { type BenchOptions, type BenchResult, median } from "./result.ts";

const LOOKS = 21;
/** A root has so many partitions; each one more makes the next slower to create. */
const PARTITIONS = 250;
const TABLES = ["public.orders", "public.zz_done"];

/** The two that are read: a plain one, and one with a partition for each month. */
const SETUP = `create table orders(id bigint primary key, status text);
  create table zz_done(id bigint, month int, primary key (id, month)) partition by range (month);
  do $$ begin for m in 1..12 loop
    execute format('create table zz_done_%s partition of zz_done for values from (%s) to (%s)', m, m, m + 1);
  end loop; end $$`;

/** Up to `$2` others: of every two hundred and fifty one half is plain, the other a root and its partitions. */
const OTHERS = `create procedure fill(first int, last int) language plpgsql as $$
  declare root int; begin for n in first..last loop
    root := n / (2 * ${PARTITIONS});
    if n % 2 = 0 then execute format('create table other_%s(id bigint primary key, note text, v numeric(10,2))', n);
    elsif n % (2 * ${PARTITIONS}) = 1 then execute format('create table root_%s(id bigint primary key, note text) partition by range (id)', root);
    else execute format('create table part_%s partition of root_%s for values from (%s) to (%s)', n, root, n, n + 1); end if;
    if n % 100 = 0 then commit; end if;
  end loop; end $$`;

interface Cost {
  readonly startMs: number;
  readonly lookMs: number;
  readonly describeMs: number;
}

/** @param options `rows` counts tables here */
export async function benchCatalog({ rows, sync, say }: BenchOptions): Promise<BenchResult> {
  const dir = await mkdtemp(resolve(".millrace/bench-"));
  await chmod(dir, 0o755);
  try {
    await using postgres = await startPostgres({ dataDir: join(dir, "postgres"), settings: { fsync: "off" } });
    const database = new Client({ connectionString: postgres.url });
    await database.connect();
    try {
      await database.query(SETUP);
      await database.query(OTHERS);
      const costs = new Map<number, Cost>();
      let made = 0;
      for (const tables of [0, rows / 5, rows / 2, rows].map(Math.floor)) {
        if (tables > 0) await database.query(`call fill(${made}, ${tables - 1})`);
        made = tables;
        await database.query("vacuum analyze");
        costs.set(tables, await measure(postgres.url, database));
        say(`${tables} tables: ${JSON.stringify(costs.get(tables))}`);
      }
      const [alone, all] = [costs.get(0)?.lookMs ?? 0, costs.get(rows)?.lookMs ?? 0];
      const named = [...costs].flatMap(([tables, cost]) =>
        Object.entries(cost).map(([name, ms]): [string, number] => [`${tables}.${name}`, ms]),
      );
      return {
        name: "catalog",
        value: all,
        unit: "ms a look",
        reference: alone,
        ratio: Math.round((all / alone) * 1000) / 1000,
        rssMb: null,
        sync,
        servers: { postgres: await readText(database, "select current_setting('server_version') as text") },
        rows,
        runs: { ours: [all], reference: [alone] },
        details: Object.fromEntries(named),
      };
    } finally {
      await database.end();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function measure(url: string, database: Client): Promise<Cost> {
  const started = performance.now();
  const source = await openShop(url, { options: { tables: TABLES } });
  const startMs = round(performance.now() - started);
  await source[Symbol.asyncDispose]();
  await using session = new Session(clientConfig(SHOP, url));
  const config = parsePostgresConfig({ url, tables: TABLES }, "sources.shop");
  const silent = (): void => {};
  const watch = new TableWatch({
    source: SHOP,
    config,
    publication: "millrace_shop",
    version: Number(await readText(database, "select current_setting('server_version_num') as text")),
    session,
    context: {
      log: { debug: silent, info: silent, warn: silent, error: silent },
      ...lossPolicy(false, "stop"),
    },
    rules: new RuleBook(config.rulesOf),
    known: undefined,
    untold: undefined,
    from: boundaryBefore(1, 1n),
    save: async () => {},
  });
  const lookMs = await timed(async () => void (await watch.look()));
  const oid = Number(await readText(database, "select 'orders'::regclass::oid::text as text"));
  const columns = [
    { type: 20, typmod: -1 },
    { type: 25, typmod: -1 },
  ];
  const describeMs = await timed(async () => void (await describeTable(session, oid, columns)));
  await database.query("select pg_drop_replication_slot('millrace_shop')");
  await database.query("drop publication millrace_shop");
  return { startMs, lookMs, describeMs };
}

/** The median, in ms. */
async function timed(run: () => Promise<void>): Promise<number> {
  const took: number[] = [];
  for (let nth = 0; nth < LOOKS; nth++) {
    const began = performance.now();
    await run();
    took.push(performance.now() - began);
  }
  return round(median(took));
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
