// Slices of tables of a server that a test writes down, in virtual time: which rows are in them, when they are given, where they go on.

import { describe, expect, test } from "vitest";
import { TransientError } from "../../../../../src/errors.ts";
import type { Positions } from "../../../../../src/event/positions.ts";
import type { CopyTarget, RowCopier, Slice } from "../../../../../src/source/capabilities.ts";
import { ServerError } from "../../../../../src/source/dynamodb/client/errors.ts";
import { dynamoGround } from "../../../../support/dynamodb/dynamo-ground.ts";

const never = new AbortController().signal;
const target: CopyTarget = { id: "id of carts", namespace: "_", collection: "carts" };
type After = Readonly<Record<string, unknown>> | undefined;

/** A source that reads, with its copier. */
async function copying(section: object = {}, tables: readonly string[] = []) {
  const ground = dynamoGround(section);
  const { server, time } = ground;
  for (const table of tables) server.createTable(table);
  /** What the server says of tables from now on. */
  const said: { status?: string } = {};
  const connect = server.connect.bind(server);
  server.connect = () => {
    const api = connect();
    return { ...api, describeTable: async (table) => ({ ...(await api.describeTable(table)), ...said }) };
  };
  const put = (id: string, text = "", table = "carts"): void =>
    server.double.put(table, { id: { S: id }, text: { S: text } });
  const begin = async (from?: Positions) => {
    const { source, reading } = await ground.read(from);
    const copier = source.copier as RowCopier;
    const ask = (after?: After, maxRows = 1000): Promise<Slice> =>
      copier.readSlice({ target, after, maxRows, maxBytes: 1e7, backfill: 3, signal: never });
    const slice = (after?: After, maxRows?: number): Promise<Slice> => time.when(ask(after, maxRows));
    const failure = (after?: After): Promise<unknown> => time.when(ask(after).catch((error: unknown) => error));
    const failureOf = (of: CopyTarget = target): Promise<unknown> =>
      time.when(
        copier
          .readSlice({ target: of, after: undefined, maxRows: 9, maxBytes: 1e7, backfill: 4, signal: never })
          .catch((error: unknown) => error),
      );
    return { source, reading, copier, ask, slice, failure, failureOf };
  };
  const tick = (ms: number): Promise<void> => time.when(time.clock.sleep(ms));
  return { ...ground, put, tick, said, ...(await begin()), begin };
}

const keysIn = (slice: Pick<Slice, "rows">): readonly string[] => slice.rows.map(({ key }) => key).sort();

/** All slices from one place on, each stored whole before the next. */
async function all(slice: (after?: After, maxRows?: number) => Promise<Slice>, from?: After, maxRows?: number) {
  const keys: string[] = [];
  for (let after = from; ; ) {
    const next = await slice(after, maxRows);
    keys.push(...next.rows.map(({ key }) => key));
    if (next.isLast) return keys.sort();
    after = next.after(next.rows.length - 1);
  }
}

function ids(count: number): readonly string[] {
  return Array.from({ length: count }, (_, nth) => `i${String(nth).padStart(4, "0")}`);
}

describe("a slice", () => {
  test.each(["json", "dynamodb-json"])("has rows as events have them, in %s", async (encoding) => {
    const { put, slice, until, reading, tick } = await copying({ encoding });
    for (const id of ["a", "b", "ü,/"]) put(id, `text of ${id}`);
    await until(() => reading.changes.length === 3);
    await tick(10_000);
    const rows = new Map<string, Slice["rows"][number]>();
    for (let after: After; ; ) {
      const next = await slice(after);
      for (const row of next.rows) rows.set(row.key, row);
      if (next.isLast) break;
      after = next.after(next.rows.length - 1);
    }
    expect([...rows.keys()].sort()).toEqual(reading.changes.map(({ key }) => key).sort());
    for (const { key, lane, data } of reading.changes) {
      const row = rows.get(key);
      const event = JSON.parse(Buffer.from(data).toString());
      expect(JSON.parse(Buffer.from(row?.data ?? "").toString())).toEqual({ ...event, op: "read" });
      expect(row).toMatchObject({ lane, backfill: 3, time: expect.stringMatching(/^\d{4}-.*\.\d{6}Z$/) });
      expect(row?.kind).toMatchObject({ namespace: "_", collection: "carts", op: "read" });
    }
  });

  test("holds each item once, from the progress of any row on, also by another worker", async () => {
    const { put, slice, tick, begin } = await copying();
    for (const id of ids(50)) put(id);
    await tick(10_000);
    const first = await slice(undefined, 7);
    const [cut, rest] = [first.rows.slice(0, 3), JSON.parse(JSON.stringify(first.after(2)))];
    expect([...cut.map(({ key }) => key), ...(await all(slice, rest, 7))].sort()).toEqual(ids(50));

    const other = await begin();
    expect([...cut.map(({ key }) => key), ...(await all(other.slice, rest))].sort()).toEqual(ids(50));
    expect(rest.at).toHaveLength(4);
  });

  test("goes on behind the row that was stored last, whatever changes meanwhile", async () => {
    const { put, slice, tick } = await copying();
    for (const id of ids(40)) put(id);
    await tick(10_000);
    const first = await slice();
    const stored = first.rows.slice(0, 2).map(({ key }) => key);
    put(stored[1] ?? "", "changed");
    await tick(2_000);
    const rest = await all(slice, first.after(1));
    expect(rest.filter((key) => stored.includes(key))).toEqual([]);
    expect([...stored, ...rest].sort()).toEqual(ids(40));
  });

  test("lacks an item whose change was handed out a moment before it was read, for that may not be in it yet", async () => {
    const { put, slice, tick, until, reading, ask, time } = await copying({ scan: { streamDelay: "5s" } });
    for (const id of ["a", "b"]) put(id);
    await tick(60_000);
    const asked = ask();
    asked.catch(() => {});
    await tick(4_000);
    put("a", "newer");
    await until(() => reading.changes.length === 3);
    const found = [await time.when(asked)];
    while (found.at(-1)?.isLast !== true) found.push(await slice(found.at(-1)?.after(0)));
    expect(found.flatMap(keysIn)).toEqual(["b"]);
  });

  test("lacks an item of which the stream is late with a change that it shows, and waits for that", async () => {
    const { put, server, slice, tick, until, reading, ask, time } = await copying({ scan: { streamDelay: "5s" } });
    for (const id of ["a", "b"]) put(id);
    await tick(60_000);
    const asked = ask();
    asked.catch(() => {});
    await tick(4_500);
    server.double.life.hold("carts");
    put("a", "newer");
    await tick(4_500);
    server.double.life.release("carts");
    await until(() => reading.changes.length === 3);
    const found = [await time.when(asked)];
    while (found.at(-1)?.isLast !== true) found.push(await slice(found.at(-1)?.after(0)));
    expect(found.flatMap(keysIn)).toEqual(["b"]);
  });

  test("stands behind all that was handed out of its table, and leaves out shards that are over", async () => {
    const { put, server, slice, tick, until, reading, source } = await copying();
    put("a");
    await until(() => reading.changes.length === 1);
    await tick(10_000);
    const [before, held] = [reading.reached, await slice()];
    expect(held.notBefore).toEqual(before);
    server.roll("carts");
    put("b");
    await until(() => reading.changes.length === 2);
    await source.acknowledge(reading.reached ?? new Map());
    await until(() => reading.messages.some(({ type }) => type === "ended"));
    expect([...held.notBefore]).toEqual([]);
    expect(held.includes({ position: "", transaction: "" })).toBe(false);
  });

  test("waits for the children of a shard that has ended, however late they are listed: they take the changes now", async () => {
    const { put, server, slice, tick, ask, time } = await copying();
    for (const id of ["a", "b"]) put(id);
    await tick(60_000);
    const asked = ask();
    asked.catch(() => {});
    await tick(4_500);
    server.double.life.roll("carts", { children: 2, unlisted: true });
    put("a", "newer");
    await tick(15_000);
    server.double.life.list("carts");
    const found = [await time.when(asked)];
    while (found.at(-1)?.isLast !== true) found.push(await slice(found.at(-1)?.after(0)));
    expect(found.flatMap(keysIn)).toEqual(["b"]);
  });

  test("is read again where a change came whose key nobody knows", async () => {
    const { put, server, slice, tick, until, reading, ask, time } = await copying();
    for (const id of ["a", "b"]) put(id);
    await tick(60_000);
    const asked = ask();
    asked.catch(() => {});
    await tick(6_000);
    const scans = server.asked.get("scan") ?? 0;
    expect(scans).toBeGreaterThan(0);
    server.put("carts", "c", "", { Keys: {} });
    await until(() => reading.messages.some(({ type }) => type === "poison"));
    await time.when(asked);
    expect(server.asked.get("scan")).toBeGreaterThan(scans);
    expect(await all(slice)).toEqual(["a", "b"]);
  });
});

describe("a table", () => {
  test("that is deleted has nothing left to be copied", async () => {
    const { put, server, slice, tick } = await copying();
    put("a");
    await tick(10_000);
    await server.deleteTable("carts");
    expect(await slice()).toMatchObject({ rows: [], isLast: true });
  });

  test("that was made again is copied from its beginning", async () => {
    const { put, slice, tick } = await copying();
    for (const id of ids(10)) put(id);
    await tick(10_000);
    const first = await slice();
    const other = { ...first.after(0), table: "another life" };
    expect(await all(slice, other)).toEqual(ids(10));
  });

  test.each([
    ["KEYS_ONLY", /carts cannot be copied: its stream is KEYS_ONLY, .*/, /A stream keeps its view type/],
    ["OLD_IMAGE", /carts cannot be copied: its stream is OLD_IMAGE, .*/, /A stream keeps its view type/],
  ] as const)("whose stream is %s is refused", async (view, message, hint) => {
    const { server, failure } = await copying();
    server.views.set("carts", view);
    expect(await failure()).toMatchObject({
      ...{ code: "BACKFILL_REFUSED", name: "ConfigError" },
      ...{ message: expect.stringMatching(message), hint: expect.stringMatching(hint) },
    });
  });

  test("whose stream is off is refused, also while a page of it is held", async () => {
    const { put, server, ask, tick, time, failure } = await copying();
    put("a");
    await tick(10_000);
    const asked = ask().catch((error: unknown) => error);
    await tick(6_000);
    server.disable("carts");
    const refused = {
      ...{ code: "BACKFILL_REFUSED", message: expect.stringMatching(/it has no stream/) },
      hint: expect.stringMatching(/^aws dynamodb update-table --table-name carts .*StreamEnabled=true/),
    };
    expect(await time.when(asked)).toMatchObject(refused);
    expect(await failure()).toMatchObject(refused);
  });

  test("that is made just now is waited for, and one that cannot be read is refused", async () => {
    const { put, said, failure, slice, tick } = await copying();
    put("a");
    await tick(10_000);
    said.status = "CREATING";
    expect(await failure()).toMatchObject({ code: "BACKFILL_TABLE_BUSY", message: "the table carts is CREATING" });
    said.status = "ARCHIVED";
    expect(await failure()).toMatchObject({
      code: "BACKFILL_REFUSED",
      message: expect.stringMatching(/it is ARCHIVED$/),
    });
    said.status = "UPDATING";
    expect(await all(slice)).toEqual(["a"]);
  });

  test("is among the targets when it is read, or named without a stream; the outbox never", async () => {
    const section = { tables: ["carts", "or*", "later"], outbox: { table: "outbox" } };
    const { copier, server, failureOf } = await copying(section, ["orders", "outbox", "later"]);
    server.createTable("orphan", { stream: false });
    const targets = await copier.targets();
    expect(targets.map(({ collection }) => collection)).toEqual(["carts", "later", "orders"]);
    server.disable("later");
    expect(await failureOf(targets[1])).toMatchObject({ code: "BACKFILL_REFUSED" });
  });
});

describe("the server", () => {
  test("that throttles is asked more slowly, and it is said", async () => {
    const { put, server, failure, slice, tick } = await copying();
    put("a");
    await tick(10_000);
    server.before = (operation) => {
      if (operation === "scan") throw new ServerError("throttled", "too much");
    };
    const error = await failure();
    expect(error).toBeInstanceOf(TransientError);
    expect(error).toMatchObject({ code: "BACKFILL_THROTTLED", hint: expect.stringMatching(/scan\.maxRcu/) });
    server.before = () => {};
    expect(await all(slice)).toEqual(["a"]);
  });

  test("is asked for no more than scan.maxRcu in the mean", async () => {
    const { put, slice, tick, time } = await copying({ scan: { maxRcu: 10 } });
    for (const id of ids(100)) put(id, "x".repeat(4000));
    await tick(10_000);
    const began = time.clock.now();
    expect(await all(slice)).toEqual(ids(100));
    const seconds = (time.clock.now() - began) / 1000;
    expect(100 / seconds).toBeLessThanOrEqual(11);
  });

  test("that reads a stream from far behind holds a copy up, and it is said before changes are lost", async () => {
    const { put, server, failure, tick, time } = await copying();
    put("a");
    await tick(10_000);
    server.before = (operation) => {
      if (operation === "records") throw new ServerError("throttled", "too much");
    };
    expect(await failure()).toMatchObject({ code: "BACKFILL_STREAM_BEHIND" });
    time.clock.advance(18.1 * 3600_000);
    expect(await failure()).toMatchObject({
      ...{ code: "BACKFILL_STREAM_LATE" },
      message: expect.stringMatching(/read as of 18 hours ago/),
    });
  });
});

test("those that are to be copied once are the tables that are read and that the option names", async () => {
  const tables = ["carts", "old_carts", "parcels"];
  const initial = async (backfill: unknown) => {
    const { copier } = await copying({ tables, ...(backfill === undefined ? {} : { backfill }) }, [
      "old_carts",
      "parcels",
    ]);
    return (await copier.initial?.())?.targets.map(({ collection }) => collection);
  };

  expect(await initial(undefined)).toBeUndefined();
  expect(await initial("none")).toBeUndefined();
  expect(await initial("initial")).toEqual(["carts", "old_carts", "parcels"]);
  expect(await initial({ initial: ["*carts", "!old*"] })).toEqual(["carts"]);
});
