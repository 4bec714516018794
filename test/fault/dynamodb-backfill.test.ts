// Items of a DynamoDB copied while they are put, changed, deleted and put again, by workers that are killed in the middle, while shards
// split, changes come late in their streams and scans are answered late, or as of a moment before: whoever applies the stream in its
// order never goes back in time, reads no item twice, and ends with what the tables hold. On our own double, behind a port.

import { setTimeout as rest } from "node:timers/promises";
import { expect, test } from "vitest";
import { DynamoDouble } from "../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../src/dev/dynamodb/dynamo-http.ts";
import { THROTTLED } from "../../src/dev/dynamodb/trouble.ts";
import type { Item } from "../../src/dev/dynamodb/values.ts";
import { newestOf, newestProgress, orderBackfill } from "../support/bus/order-backfill.ts";
import { Random } from "../support/bus/scripted-bus.ts";
import { readStream } from "../support/bus/stream-events.ts";
import { CopiedState } from "../support/check/copied-state.ts";
import { useTestCredentials } from "../support/dynamodb/dynamo-target.ts";
import { seedOf } from "../support/fault-ground.ts";
import { CrashingWorker } from "../support/process/crashing-worker.ts";
import { freshNats } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const TABLES = { carts: 3600, orders: 800 } as const;
type TableName = keyof typeof TABLES;
const NAMES = Object.keys(TABLES) as readonly TableName[];
/** What the source believes of the server, and how far this one goes. */
const DELAY = "800ms";
const LATE_MS = 250;
const DATABASE = "DynamoDB_20120810";

useTestCredentials();

/** What the application does, and the server of itself, until it is stopped. */
class Life {
  readonly #double: DynamoDouble;
  readonly #random: Random;
  readonly #stop = new AbortController();
  readonly #done: Promise<unknown>;
  #versions = 0;
  /** Of each table, its items as they were some time before. */
  #before = new Map<TableName, ReadonlyMap<string, Item>>();

  constructor(double: DynamoDouble, random: Random) {
    this.#double = double;
    this.#random = random;
    for (const [table, count] of Object.entries(TABLES)) {
      double.createTable(table, { stream: false });
      for (let nth = 0; nth < count; nth++) this.#put(table as TableName, `i${nth}`);
      double.life.enable(table, "NEW_AND_OLD_IMAGES");
    }
    const [ask, answer] = [double.ask.bind(double), double.answer.bind(double)];
    double.ask = async (service, operation, input) => {
      const answered = await ask(service, operation, input);
      if (operation === "Scan") await rest(this.#random.below(LATE_MS));
      return answered;
    };
    double.answer = (service, operation, input) => {
      const asked = () => answer(service, operation, input);
      return operation === "Scan" ? this.#asOfBefore(input.TableName as TableName, asked) : asked();
    };
    this.#done = Promise.all([this.#write(), this.#trouble()]);
    this.#done.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
    for (const table of NAMES) {
      this.#double.life.release(table);
      this.#double.life.list(table);
    }
  }

  end(table: TableName): void {
    this.#put(table, "final");
  }

  async #write(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      for (let left = this.#random.below(4); left > 0; left--) this.#writeOne();
      await rest(15);
    }
  }

  #writeOne(): void {
    const table = this.#table();
    const id = (): string => `i${this.#random.below(TABLES[table] * 1.2)}`;
    const turn = this.#random.below(10);
    if (turn < 4) this.#put(table, id());
    else if (turn < 6) this.#delete(table, id());
    else if (turn < 8) {
      const again = id();
      this.#delete(table, again);
      this.#put(table, again);
    } else {
      const ids = [...new Set([id(), id(), id()])];
      const TransactItems = ids.map((one) => ({ Put: { TableName: table, Item: this.#item(one) } }));
      this.#double.answer(DATABASE, "TransactWriteItems", { TransactItems });
    }
  }

  /** Shards split and roll, with children that are listed late; changes are seen late; scans are throttled. */
  async #trouble(): Promise<void> {
    const { life, troubles } = this.#double;
    while (!this.#stop.signal.aborted) {
      const table = this.#table();
      for (const name of NAMES) this.#before.set(name, new Map(this.#double.state.table(name).items));
      const turn = this.#random.below(30);
      if (turn === 0) {
        const open = this.#double.state.table(table).stream?.open() ?? [];
        const shard = open[this.#random.below(open.length)]?.id ?? "";
        life.roll(table, { shard, children: open.length < 4 ? 2 : 1, unlisted: this.#random.chance(0.5) });
      } else if (turn === 1) troubles.add({ operations: ["Scan"], times: 2, what: THROTTLED });
      else if (turn < 14) life.hold(table);
      await rest(LATE_MS / 2 + this.#random.below(LATE_MS / 2));
      life.release(table);
      life.list(table);
    }
  }

  /** A scan may see a table as it was a moment before it was asked: nobody promises that a change is seen there first. */
  #asOfBefore<T>(name: TableName, work: () => T): T {
    const table = this.#double.state.table(name);
    const before = this.#before.get(name);
    if (before === undefined || this.#random.chance(0.5)) return work();
    const now = new Map(table.items);
    const set = (items: ReadonlyMap<string, Item>): void => {
      table.items.clear();
      for (const [key, item] of items) table.items.set(key, item);
    };
    set(before);
    try {
      return work();
    } finally {
      set(now);
    }
  }

  #table(): TableName {
    return this.#random.chance(0.7) ? "carts" : "orders";
  }

  #item(id: string): Item {
    return { id: { S: id }, v: { N: String(++this.#versions) }, text: { S: "x".repeat(this.#random.below(60)) } };
  }

  #put(table: TableName, id: string): void {
    this.#double.put(table, this.#item(id));
  }

  #delete(table: TableName, id: string): void {
    this.#double.answer(DATABASE, "DeleteItem", { TableName: table, Key: { id: { S: id } } });
  }
}

test("Items are copied beside writes, by workers killed in the middle of it: the stream ends with what the tables hold", {
  timeout: 120_000,
}, async () => {
  const seed = seedOf("dynamodb backfill");
  await using nats = await freshNats({ syncInterval: "always" });
  const double = new DynamoDouble();
  await using http = await DynamoHttp.start(double);
  const life = new Life(double, new Random(seed));
  const config = {
    bus: { servers: nats.url, fsync: "always" as const },
    sources: {
      shop: {
        ...{ kind: "dynamodb", region: "eu-west-1", endpoint: http.url, tables: ["carts", "orders"] },
        ...{ poll: { minMs: 20, maxIdleMs: 100 }, scan: { streamDelay: DELAY } },
      },
    },
  };
  try {
    for (const [round, nth] of [3, 2, 1 + (seed % 4)].entries()) {
      await using worker = new CrashingWorker({ config, crash: { point: "mid-backfill-chunk", nth } });
      if (round === 0) {
        await waitFor(() => newestOf(nats.url, "meta.shop.shard"), { what: "the first start", timeoutMs: 60_000 });
        await orderBackfill(nats.url);
      }
      expect(await worker.ended()).toBe("SIGKILL");
    }
    await using last = new CrashingWorker({ config, crash: undefined });
    await waitFor(async () => (await newestProgress(nats.url))?.state === "completed", {
      ...{ what: `the copy to be complete, seed ${seed}`, timeoutMs: 60_000 },
    });
    await life.stop();
    for (const table of NAMES) {
      life.end(table);
      await waitFor(async () => (await newestOf(nats.url, `cdc.shop._.${table}.created.>`))?.includes('"final"'), {
        ...{ what: "the stream to hold all" },
      });
    }
    const state = new CopiedState(await readStream(nats.url, "CDC_SHOP"));
    expect(await last.stop()).toBe(0);

    expect(state.wrong, `seed ${seed}`).toEqual([]);
    for (const table of NAMES) expect(state.table(table), `${table}, seed ${seed}`).toEqual(rowsOf(double, table));
    expect(state.progress).toMatchObject({ backfill: 1, done: NAMES.length, rows: state.reads });
    expect(state.reads).toBeGreaterThan(2000);
    console.error(`${state.reads} items read`);
  } finally {
    await life.stop();
  }
});

/** By their keys' JSON, as events have them. */
function rowsOf(double: DynamoDouble, table: TableName): Readonly<Record<string, unknown>> {
  const rows = [...double.state.table(table).items.values()].map(({ id, v, text }) => [
    JSON.stringify({ id: id?.S }),
    { id: id?.S, v: Number(v?.N), text: text?.S },
  ]);
  return Object.fromEntries(rows.sort());
}
