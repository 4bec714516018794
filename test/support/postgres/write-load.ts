// Writers that commit transactions of many shapes while servers and workers fail around them.

import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { Random } from "../bus/scripted-bus.ts";

export interface WriteLoadOptions {
  readonly url: string;
  readonly seed: number;
  /** Default 3. */
  readonly writers?: number;
  /** The longest pause of a writer between two transactions, in ms. Default 60. */
  readonly pauseMs?: number;
}

/** Rows of one writer lie above its number times this. */
const RANGE = 1_000_000_000;

/** Commits to `item` and `whole` until it is stopped; goes on by itself when the server was away. */
export class WriteLoad implements AsyncDisposable {
  /** Transactions whose commit was answered. */
  committed = 0;
  readonly #options: WriteLoadOptions;
  readonly #stopping = new AbortController();
  readonly #running: Promise<unknown>;

  private constructor(options: WriteLoadOptions) {
    this.#options = options;
    const { writers = 3 } = options;
    this.#running = Promise.all(Array.from({ length: writers }, (_, n) => this.#write(n + 1)));
    this.#running.catch(() => this.#stopping.abort()); // `stop` tells
  }

  /** The tables it writes to. */
  static readonly tables = `
    create table item(id bigint, sub int, body jsonb, at timestamptz default clock_timestamp(), price numeric, doc text,
      primary key (id, sub));
    create table whole(id bigint primary key, "Big" text); alter table whole replica identity full;
    create table aside(id bigserial primary key)`;

  static start(options: WriteLoadOptions): WriteLoad {
    return new WriteLoad(options);
  }

  /** Resolves when the last transaction has ended. @throws what a writer could not go on from */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running.catch(() => {});
  }

  async #write(writer: number): Promise<void> {
    const { seed, url, pauseMs = 60 } = this.#options;
    const { signal } = this.#stopping;
    const random = new Random(seed * 31 + writer);
    let client: Client | undefined;
    let next = writer * RANGE;
    while (!signal.aborted) {
      try {
        client ??= await connect(url);
        next = await transaction(client, random, writer, next);
        this.committed++;
      } catch (error) {
        if (!serverIsAway(error)) throw error;
        void client?.end().catch(() => {}); // it is gone already
        client = undefined;
        await delay(100, undefined, { signal }).catch(() => {});
      }
      await delay(random.below(pauseMs), undefined, { signal }).catch(() => {});
    }
    await client?.end();
  }
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 3_000, query_timeout: 20_000 });
  client.on("error", () => {}); // the next query tells
  await client.connect();
  return client;
}

/** A server that says no is a fault of the test; one that went away is a fault the test is about. */
function serverIsAway(error: unknown): boolean {
  const code = (error as { readonly code?: unknown }).code;
  return typeof code !== "string" || !/^[0-9A-Z]{5}$/.test(code) || /^(57|08|53|40)/.test(code);
}

/** @returns the id for the next new row */
async function transaction(client: Client, random: Random, writer: number, next: number): Promise<number> {
  const shape = random.next();
  if (shape < 0.5) {
    await client.query(insertItem, [next, random.below(3), text(random), random.below(1e6) / 100]);
    return next + 1;
  }
  if (shape > 0.99) {
    const rows = 50 + random.below(shape > 0.999 ? 2_500 : 150);
    await client.query(
      `insert into item(id, sub, body) select $1::bigint + i, 0, '{"n": 12345678901234567890}' from generate_series(0, $2 - 1) i`,
      [next, rows],
    );
    return next + rows;
  }
  await client.query("begin");
  // Neither belongs to the stream, and both move the log's positions.
  if (random.chance(0.1)) await client.query("insert into aside default values");
  if (random.chance(0.1)) await client.query("select pg_logical_emit_message($1, 'aside', 'x')", [random.chance(0.5)]);
  for (let n = 1 + random.below(6); n > 0; n--) next = await change(client, random, writer, next);
  if (random.chance(0.1)) {
    await client.query("savepoint part");
    await client.query(insertItem, [next++, 0, null, null]);
    await client.query("rollback to part");
  }
  await client.query(random.chance(0.05) ? "rollback" : "commit");
  return next;
}

const insertItem = "insert into item(id, sub, doc, price) values ($1, $2, $3, $4)";

async function change(client: Client, random: Random, writer: number, next: number): Promise<number> {
  const newest = [writer * RANGE, next];
  switch (random.below(7)) {
    case 0:
      await client.query(`insert into whole values ($1, $2)`, [next, text(random)]);
      return next + 1;
    case 1:
      await client.query(
        `update item set price = coalesce(price, 0) + 1, at = clock_timestamp()
          where (id, sub) = (select id, sub from item where id between $1 and $2 order by id desc limit 1)`,
        newest,
      );
      return next;
    case 2:
      await client.query(
        `update item set sub = sub + 10
          where (id, sub) = (select id, sub from item where id between $1 and $2 order by id desc limit 1)`,
        newest,
      );
      return next;
    case 3:
      await client.query(
        `delete from item where (id, sub) = (select id, sub from item where id between $1 and $2 order by id limit 1)`,
        newest,
      );
      return next;
    case 4:
      await client.query(`update whole set "Big" = 'x' where id = (select max(id) from whole where id < $1)`, [next]);
      return next;
    default:
      await client.query(insertItem, [next, random.below(3), text(random), null]);
      return next + 1;
  }
}

/** Now and then so long that it is stored out of line, where an update does not repeat it. */
function text(random: Random): string {
  if (!random.chance(0.03)) return `é"\\${random.below(1e9)}`;
  let long = "";
  while (long.length < 9_000) long += random.below(1e9).toString(36);
  return long;
}
