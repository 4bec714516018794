// The book of announced versions: what it remembers across restarts, what it forgets, who may write it.

import { expect, test } from "vitest";
import { memoryStore } from "../../../src/bus/memory/memory-server.ts";
import type { StateStore } from "../../../src/bus/state-store.ts";
import { FencedError } from "../../../src/errors.ts";
import type { CollectionSchema } from "../../../src/event/collection-schema.ts";
import type { Position } from "../../../src/event/position.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { SchemaBook } from "../../../src/schema/schema-book.ts";
import { reached } from "../../support/postgres/transactions.ts";

const at = (lsn: number): Position => `0001.${String(lsn).padStart(16, "0")}.0000000000000001.a000000` as Position;

function orders(...columns: readonly string[]): CollectionSchema {
  return {
    id: "16400",
    namespace: "public",
    collection: "orders",
    identity: "key",
    key: ["id"],
    columns: columns.map((name, index) => ({
      name,
      number: index + 1,
      type: "text",
      nullable: true,
      value: { type: "string" },
    })),
  };
}

async function open(store: StateStore, stored: Position | undefined, lease = 1): Promise<SchemaBook> {
  const book = new SchemaBook({ source: "shop" as SourceId, store, lease });
  await book.open(stored && reached(stored));
  return book;
}

/** Describes a version, and notes it where it has to be announced. */
async function announce(book: SchemaBook, schema: CollectionSchema, position: Position): Promise<unknown> {
  const announcement = await book.describe({ schema, uri: undefined }, position);
  if (announcement === undefined) return undefined;
  await book.store();
  return JSON.parse(Buffer.from(announcement).toString());
}

test("the first version of a collection is announced, without anything that it changed", async () => {
  const book = await open(memoryStore(), undefined);
  expect(await announce(book, orders("id"), at(5))).toMatchObject({
    collection: "orders",
    previous: null,
    changes: null,
  });
});

test("the next one says what it changed, and from which", async () => {
  const book = await open(memoryStore(), undefined);
  const first = await announce(book, orders("id"), at(5));
  const second = await announce(book, orders("id", "note"), at(6));
  expect(second).toMatchObject({ previous: (first as { version: string }).version, changes: { added: ["note"] } });
});

test("what the stream was told of is not announced again after a restart", async () => {
  const store = memoryStore();
  await announce(await open(store, undefined), orders("id"), at(5));
  expect(await announce(await open(store, at(5)), orders("id"), at(9))).toBeUndefined();
});

test("what was noted and did not reach the stream is announced again", async () => {
  const store = memoryStore();
  await announce(await open(store, undefined), orders("id"), at(5));
  expect(await announce(await open(store, at(4)), orders("id"), at(5))).toBeDefined();
});

test("what was forgotten stays forgotten when the stream grows past it", async () => {
  const store = memoryStore();
  await announce(await open(store, undefined), orders("id"), at(5));
  await open(store, at(4));
  expect(await announce(await open(store, at(9)), orders("id"), at(10))).toBeDefined();
});

test("a stream that was set back is told from where it stands", async () => {
  const store = memoryStore();
  const book = await open(store, undefined);
  await announce(book, orders("id"), at(5));
  await announce(book, orders("id", "note"), at(6));
  const after = await open(store, at(5));
  expect(await announce(after, orders("id"), at(6))).toBeUndefined();
  expect(await announce(after, orders("id", "note"), at(6))).toMatchObject({ changes: { added: ["note"] } });
});

const version = (nth: number): CollectionSchema => orders("id", `v${nth}`);

test("however many versions are noted ahead of the stream, the newest that it holds is known after a restart", async () => {
  const store = memoryStore();
  const book = await open(store, undefined);
  for (let nth = 1; nth <= 10; nth++) await announce(book, version(nth), at(nth));
  const after = await open(store, at(2));
  expect(await after.newest("16400")).toEqual(version(2));
});

test("of the versions that the stream holds a few are kept", async () => {
  const store = memoryStore();
  const book = await open(store, undefined);
  for (let nth = 1; nth <= 100; nth++) {
    await announce(book, version(nth), at(nth));
    book.acknowledged(reached(at(nth - 1)));
  }
  const index = (await store.get("shop"))?.value as { announced: [[string, unknown[]]] };
  expect(index.announced[0][1].length).toBeLessThan(8);
  expect(await (await open(store, at(98))).newest("16400")).toEqual(version(98));
});

test("what the catalog no longer tells of a column is taken from the version before", async () => {
  const store = memoryStore();
  const book = await open(store, undefined);
  await announce(book, orders("id", "note"), at(5));
  const behind = orders("id", "note");
  const [id, note] = behind.columns;
  if (id === undefined || note === undefined) throw new Error("no columns");
  const known = { ...behind, columns: [id, { ...note, number: null, nullable: null }] };
  expect(await announce(book, known, at(6))).toBeUndefined();
});

test("a worker that was overtaken notes nothing", async () => {
  const store = memoryStore();
  const frozen = await open(store, undefined, 1);
  await open(store, undefined, 2);
  await expect(announce(frozen, orders("id"), at(5))).rejects.toBeInstanceOf(FencedError);
  await expect(open(store, undefined, 1)).rejects.toBeInstanceOf(FencedError);
});

test("however many collections there are, the index stays small and the newest ones known", async () => {
  const store = memoryStore();
  const book = await open(store, undefined);
  for (let n = 0; n < 5000; n++) {
    const schema = { ...orders("id"), id: `of-a-long-name-${n}`, collection: `c${n}` };
    await book.describe({ schema, uri: undefined }, at(n));
  }
  await book.store();
  const index = JSON.stringify((await store.get("shop"))?.value);
  expect(index.length).toBeLessThan(300_000);
  expect(index).toContain('"of-a-long-name-4999"');
  expect(index).not.toContain('"of-a-long-name-0"');
});

test("what it cannot read is no state of this version, and nothing is guessed of it", async () => {
  const store = { get: async () => ({ value: { announced: "all" }, revision: 1 }), put: async () => 2 };
  const book = new SchemaBook({ source: "shop" as SourceId, store, lease: 1 });

  await expect(book.open(undefined)).rejects.toMatchObject({ name: "BugError", code: "MEMORY_UNREADABLE" });
});
