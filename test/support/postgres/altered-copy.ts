// A copy of a real table under one random schedule: rows are written and the table's definition is changed between any two steps of
// it, and workers end. What the stream says at the end is held against the table.

import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { Backfill } from "../../../src/backfill/backfill.ts";
import type { Order } from "../../../src/backfill/order.ts";
import { owedSince } from "../../../src/backfill/owed-since.ts";
import type { Progress } from "../../../src/backfill/progress.ts";
import type { StoredChange } from "../../../src/bus/source-stream.ts";
import { realClock } from "../../../src/clock.ts";
import { isComplete, type Position } from "../../../src/event/position.ts";
import { comparePlace, reaches } from "../../../src/event/positions.ts";
import type { CopyBatch, RowCopier } from "../../../src/source/capabilities.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { Random } from "../bus/scripted-bus.ts";
import type { Database } from "../servers.ts";
import { waitFor } from "../wait-for.ts";
import { type AlteredBody, AlteredRows, COMPARED } from "./altered-rows.ts";
import { openShop, SHOP, TestMemory, type TestSource } from "./reader.ts";
import { reached } from "./transactions.ts";

const ROWS = 120;
const MAX_STEPS = 600;

const setUp = `
  create sequence version;
  create table item(id int primary key, u uuid not null, rid int not null, v bigint not null default nextval('version'), doc text);
  alter table item alter doc set storage external;
  alter table item add constraint item_id unique (id);
  create unique index item_u on item (u);
  create table final(id int primary key);
  insert into item(id, u, rid, doc) select i, md5(i::text)::uuid, i, case when i % 4 = 0 then repeat('d', 2500) end from generate_series(1, ${ROWS}) i;`;

/** What stands in the way of a statement: another that waits, a key that is taken. */
const EXPECTED = new Set(["55P03", "23505", "40P01", "25P02", "57014", "22003"]);

/** Statements by one session and another, whose transactions stay open for a while. */
class Writer {
  #type = "int";
  #name = "id";
  #rid = ROWS;
  #added = 0;
  readonly #random: Random;
  readonly #sessions: readonly Client[];

  constructor(random: Random, sessions: readonly Client[]) {
    this.#random = random;
    this.#sessions = sessions;
  }

  async write(): Promise<void> {
    const below = (limit: number): number => this.#random.below(limit);
    const rid = 1 + below(this.#rid);
    const id = `'${1 + below(3 * ROWS)}'::${this.#type}`;
    const next = "v = nextval('version')";
    const kinds = [
      `update item set ${next} where rid = ${rid}`,
      `update item set ${next} where rid % 16 = ${below(16)}`,
      `update item set ${this.#name} = ${id}, ${next} where rid = ${rid}`,
      `update item set u = md5('${below(1e9)}')::uuid, ${next} where rid = ${rid}`,
      `delete from item where rid = ${rid}`,
      `insert into item(${this.#name}, u, rid) values (${id}, md5('${below(1e9)}')::uuid, ${++this.#rid})`,
    ];
    const session = this.#sessions[below(this.#sessions.length)] as Client;
    await tried(session, kinds[below(kinds.length)] as string);
    const end = this.#random.next();
    if (end < 0.3) await tried(session, "begin");
    else if (end < 0.7) await tried(session, "commit");
  }

  async alter(): Promise<void> {
    const kinds: readonly (() => Promise<unknown>)[] = [
      () => this.#retype(),
      () => this.#retype(),
      () => this.#rename(),
      () => this.#do("alter table item drop constraint item_pkey, add primary key (u)"),
      () => this.#do(`alter table item drop constraint item_pkey, add primary key (${this.#name})`),
      () => this.#do("alter table item replica identity full"),
      () => this.#do("alter table item replica identity default"),
      () => this.#do("alter table item replica identity using index item_u"),
      () => this.#do(`alter table item add column more_${++this.#added} int default 1`),
      () => this.#do("vacuum full item"),
      ...(this.#random.chance(0.3) ? [() => this.#do("truncate item")] : []),
    ];
    await (kinds[this.#random.below(kinds.length)] as () => Promise<unknown>)();
  }

  async #retype(): Promise<void> {
    const types = ["int", "bigint", "text", "numeric", 'text collate "C"', 'text collate "en-x-icu"'];
    const type = types[this.#random.below(types.length)] as string;
    const bare = type.replace(/ .*/, "");
    if (await this.#do(`alter table item alter ${this.#name} type ${type} using ${this.#name}::${bare}`))
      this.#type = bare;
  }

  async #rename(): Promise<void> {
    const name = this.#name === "id" ? "ident" : "id";
    if (await this.#do(`alter table item rename ${this.#name} to ${name}`)) this.#name = name;
  }

  /** By itself, or not at all where somebody is in its way. */
  async #do(statement: string): Promise<boolean> {
    const [session] = this.#sessions as [Client];
    for (const one of this.#sessions) if (this.#random.chance(0.8)) await tried(one, "commit");
    await tried(session, "commit");
    return tried(session, statement);
  }

  /** Nothing is open behind it. */
  async rest(): Promise<void> {
    for (const one of this.#sessions) await tried(one, "commit");
  }

  async end(): Promise<void> {
    await this.rest();
    await (this.#sessions[0] as Client).query("insert into final values (1)");
  }

  get column(): string {
    return this.#name;
  }
}

async function tried(session: Client, statement: string): Promise<boolean> {
  try {
    await session.query(statement);
    return true;
  } catch (error) {
    const { code = "" } = error as { readonly code?: string };
    if (!EXPECTED.has(code)) throw error;
    await session.query("rollback");
    return false;
  }
}

type Entry =
  | { readonly type: "change"; readonly body: AlteredBody; readonly of: string; readonly key: string }
  | { readonly type: "row"; readonly body: AlteredBody; readonly id: string }
  | { readonly type: "marker"; readonly body: Progress };

/** What outlives a worker. */
class Stream {
  readonly entries: Entry[] = [];
  at: Position | undefined;

  get progress(): Progress | undefined {
    return this.entries.findLast((one) => one.type === "marker")?.body;
  }

  /** As the bus has them, behind the newest marker. */
  async *createdBehind(collection: string): AsyncGenerator<StoredChange, void> {
    for (const one of this.entries.slice(this.entries.findLastIndex(({ type }) => type === "marker") + 1))
      if (one.type === "change" && one.of === collection && one.body.op === "created")
        yield { key: one.key, data: Buffer.from(JSON.stringify(one.body)) };
  }
}

/** A source that is read, and copied beside that, until it is stopped. */
class Worker {
  readonly #stop = new AbortController();
  readonly #source: TestSource;
  readonly #stream: Stream;
  readonly #copy: Backfill;
  readonly #batches: AsyncGenerator<CopyBatch, void>;
  readonly #reading: Promise<void>;
  #batch: CopyBatch | undefined;
  failure: unknown;

  constructor(source: TestSource, stream: Stream, random: Random, since: readonly string[]) {
    this.#source = source;
    this.#stream = stream;
    const order: Order = { backfill: 1, state: "running", collections: ["public.item"], by: "a test", at: "" };
    const options = { maxRows: 5 + random.below(30), maxBatchRows: 1 + random.below(12), maxMessageBytes: 1e6 };
    const common = { source: SHOP, copier: source.copier as RowCopier, log: silentLogger };
    // What cannot be read yet is asked for again soon.
    const clock = {
      ...realClock,
      sleep: (ms: number, signal?: AbortSignal) => realClock.sleep(Math.min(ms, 20), signal),
    };
    const after = stream.progress as Readonly<Record<string, unknown>> | undefined;
    this.#copy = new Backfill({ ...common, ...options, clock, order: async () => order }, after, since);
    this.#batches = this.#copy.read({ signal: this.#stop.signal });
    this.#reading = this.#read().catch((error: unknown) => {
      this.failure ??= error;
    });
    this.#pull();
  }

  async #read(): Promise<void> {
    const { at, entries } = this.#stream;
    for await (const chunk of this.#source.read({ from: at && reached(at), signal: this.#stop.signal })) {
      if (this.#stop.signal.aborted) return;
      this.#copy.handedOut(chunk);
      for (const message of chunk) {
        const { position } = message;
        // What the stream has is handed out again: nothing of it was acknowledged.
        if (position === undefined || comparePlace({ position }, at && reached(at)) <= 0) continue;
        this.#stream.at = position;
        if (message.type !== "change") continue;
        const body = JSON.parse(Buffer.from(message.data).toString()) as AlteredBody;
        entries.push({ type: "change", body, of: message.kind.collection, key: message.key });
      }
    }
  }

  #pull(): void {
    this.#batch = undefined;
    this.#batches.next().then(
      ({ value }) => {
        this.#batch = value ?? undefined;
      },
      (error: unknown) => {
        this.failure ??= error;
      },
    );
  }

  /** Stores the batch that waits, where it may stand there. */
  insert(): void {
    const { at, entries } = this.#stream;
    const batch = this.#batch;
    if (batch === undefined || at === undefined || !isComplete(at) || !reaches(reached(at), batch.notBefore)) return;
    for (const { data, backfill, collectionId, key, again } of batch.rows())
      entries.push({
        ...{ type: "row", body: JSON.parse(Buffer.from(data).toString()) as AlteredBody },
        id: `${backfill}.${collectionId}.${key}.${again}`,
      });
    entries.push({ type: "marker", body: JSON.parse(JSON.stringify(batch.progress)) as Progress });
    this.#pull();
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#reading;
    await this.#source[Symbol.asyncDispose]();
  }
}

/** @returns what is wrong; undefined where nothing is */
export async function runAlteredCopy(database: Database, seed: number): Promise<string | undefined> {
  const random = new Random(seed);
  await database.query(setUp);
  const stream = new Stream();
  const memory = new TestMemory();
  const begin = async (): Promise<Worker> => {
    // As a worker does, which tries again; but nobody else ends transactions meanwhile.
    const open = (): Promise<TestSource> =>
      openShop(database.url, { memory }).catch(async (error: unknown) => {
        await writer.rest();
        throw error;
      });
    const source = await waitFor(open, { what: "the source to open" });
    const after = stream.progress as Readonly<Record<string, unknown>> | undefined;
    const since = await owedSince(after, ({ collection }) => stream.createdBehind(collection));
    return new Worker(source, stream, random, since);
  };
  const sessions = [await database.connect(), await database.connect()];
  for (const one of sessions) await one.query("set lock_timeout = 100");
  const writer = new Writer(random, sessions);
  let worker = await begin();
  const isDone = (): boolean => stream.progress?.state === "completed";
  try {
    for (let step = 0; step < MAX_STEPS && !isDone() && worker.failure === undefined; step++) {
      const kind = random.next();
      if (kind < 0.3) await writer.write();
      else if (kind < 0.4) await writer.alter();
      else if (kind < 0.7) worker.insert();
      else if (kind < 0.71) {
        await worker.end();
        worker = await begin();
      } else await sleep(random.below(12));
    }
    await writer.end();
    const isTold = (): boolean => stream.entries.some((one) => one.type === "change" && one.of === "final");
    await waitFor(
      () => {
        worker.insert();
        return (isDone() && isTold()) || worker.failure !== undefined;
      },
      { what: `the copy to be complete: ${JSON.stringify(stream.progress)}` },
    );
    if (worker.failure !== undefined) return `the worker failed: ${String(worker.failure)}`;
    const state = new AlteredRows();
    for (const one of stream.entries) {
      if (one.type === "row") state.apply(one.body, one.id);
      if (one.type === "change" && one.of === "item") state.apply(one.body);
    }
    const columns = COMPARED.map((name) => `${name === "id" ? writer.column : name}::text as ${name}`);
    const { rows } = await (sessions[0] as Client).query<Record<string, string | null>>(`select ${columns} from item`);
    return (
      state.wrong ??
      state.differs(
        rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value ?? undefined]))),
      )
    );
  } finally {
    await worker.end();
    for (const one of sessions) await one.end();
  }
}
