// A table of our double that is written to by chance, and a server that is late in every way that it may be: changes come late in
// their streams, scans are answered late, or as of a moment before, and children of shards are listed late.

import type { Clock } from "../../../src/clock.ts";
import type { Stream } from "../../../src/dev/dynamodb/streams.ts";
import type { Item } from "../../../src/dev/dynamodb/values.ts";
import type { Random } from "../bus/scripted-bus.ts";
import type { ScriptedDynamo } from "./scripted-dynamo.ts";

const DATABASE = "DynamoDB_20120810";

export interface LateTableOptions {
  readonly server: ScriptedDynamo;
  readonly clock: Clock;
  readonly random: Random;
  readonly table: string;
  readonly items: number;
  /** How late, at most, ms. */
  readonly lateMs: number;
}

/** All of an item's versions rise. */
export class LateTable {
  readonly #options: LateTableOptions;
  readonly #stop = new AbortController();
  readonly #done: Promise<unknown>;
  #versions = 0;
  #before: ReadonlyMap<string, Item> = new Map();

  /** Made, with its items, and not yet its stream's business. */
  constructor(options: LateTableOptions) {
    const { server, table, items, clock, random, lateMs } = options;
    this.#options = options;
    const { double } = server;
    double.createTable(table, { stream: false });
    for (let nth = 0; nth < items; nth++) this.#put(`i${nth}`);
    double.life.enable(table, "NEW_AND_OLD_IMAGES");
    const [connect, answer] = [server.connect.bind(server), double.answer.bind(double)];
    server.connect = () => {
      const api = connect();
      const late = (): Promise<void> => clock.sleep(random.chance(0.5) ? 0 : random.below(lateMs));
      return {
        ...api,
        scan: async (...asked) => {
          await late();
          const page = await api.scan(...asked);
          await late();
          return page;
        },
      };
    };
    double.answer = (service, operation, input) => {
      const asked = () => answer(service, operation, input);
      return operation === "Scan" && random.chance(0.5) ? this.#asOfBefore(asked) : asked();
    };
    this.#done = Promise.all([this.#write(), this.#trouble()]);
  }

  /** By their keys' JSON, the versions. */
  held(): Readonly<Record<string, number>> {
    const rows = [...this.#items.values()].map(({ id, v }) => [JSON.stringify({ id: id?.S }), Number(v?.N)] as const);
    return Object.fromEntries(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Nothing is late any more. */
  async stop(): Promise<void> {
    const { server, table } = this.#options;
    this.#stop.abort();
    await this.#done;
    server.double.life.release(table);
    server.double.life.list(table);
  }

  get #items(): Map<string, Item> {
    const { server, table } = this.#options;
    return server.double.state.table(table).items;
  }

  get #stream(): Stream {
    const { server, table } = this.#options;
    return server.streamOf(table);
  }

  async #write(): Promise<void> {
    const { clock, random, items } = this.#options;
    while (!this.#stop.signal.aborted) {
      const id = `i${random.below(items * 1.2)}`;
      const turn = random.below(8);
      if (turn < 2) this.#put(id);
      else if (turn === 2) this.#delete(id);
      else if (turn === 3) this.#putAtOnce([id, `i${random.below(items)}`]);
      else {
        // Before anybody has seen the change before.
        if (turn < 6) this.#delete(id);
        else this.#put(id);
        this.#put(id);
      }
      await clock.sleep(random.below(100));
    }
  }

  async #trouble(): Promise<void> {
    const { server, clock, random, table, lateMs } = this.#options;
    const { life } = server.double;
    while (!this.#stop.signal.aborted) {
      this.#before = new Map(this.#items);
      const turn = random.below(20);
      if (turn === 0) {
        const open = this.#stream.open();
        const shard = open[random.below(open.length)]?.id ?? "";
        life.roll(table, { shard, children: open.length < 4 ? 2 : 1, unlisted: random.chance(0.5) });
      } else if (turn < 10) life.hold(table);
      await clock.sleep(lateMs / 2 + random.below(lateMs / 2));
      life.release(table);
      life.list(table);
    }
  }

  /** What is answered then is of a moment before. */
  #asOfBefore<T>(work: () => T): T {
    const items = this.#items;
    const now = new Map(items);
    const set = (all: ReadonlyMap<string, Item>): void => {
      items.clear();
      for (const [key, item] of all) items.set(key, item);
    };
    set(this.#before);
    try {
      return work();
    } finally {
      set(now);
    }
  }

  #item(id: string): Item {
    return { id: { S: id }, v: { N: String(++this.#versions) } };
  }

  #put(id: string): void {
    const { server, table } = this.#options;
    server.double.put(table, this.#item(id));
  }

  #putAtOnce(ids: readonly string[]): void {
    const { server, table } = this.#options;
    const TransactItems = [...new Set(ids)].map((id) => ({ Put: { TableName: table, Item: this.#item(id) } }));
    server.double.answer(DATABASE, "TransactWriteItems", { TransactItems });
  }

  #delete(id: string): void {
    const { server, table } = this.#options;
    server.double.answer(DATABASE, "DeleteItem", { TableName: table, Key: { id: { S: id } } });
  }
}
