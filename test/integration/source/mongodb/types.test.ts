// What `millrace types` says of a MongoDB's documents is true of what is delivered: of events, and of all that validators let in.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { Binary, BSONRegExp, Decimal128, Double, Int32, Long, ObjectId, Timestamp, UUID } from "mongodb";
import { describe, expect, test } from "vitest";
import { startWorker } from "../../../../src/app.ts";
import type { SourceId } from "../../../../src/event/source-id.ts";
import { typeFiles } from "../../../../src/schema/type-files.ts";
import { mongoConnector } from "../../../../src/source/mongodb/connector.ts";
import { readStream } from "../../../support/bus/stream-events.ts";
import { describeOrders, errorsOf } from "../../../support/mongodb/described.ts";
import { freshMongoDatabase, type MongoDatabase } from "../../../support/mongodb/mongo-servers.ts";
import { mongoTarget } from "../../../support/mongodb/mongo-target.ts";
import { runCommand } from "../../../support/process/run-command.ts";
import { freshNats, missing, scratchDir } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

const SHOP = "shop" as SourceId;
const oid = new ObjectId();

const $jsonSchema = {
  bsonType: "object",
  required: ["status", "total"],
  additionalProperties: false,
  properties: {
    _id: { bsonType: ["objectId", "string", "int"] },
    status: { bsonType: "string", enum: ["new", "paid"] },
    total: { bsonType: "decimal" },
    count: { bsonType: "long" },
    size: { bsonType: "double" },
    any: { bsonType: "number" },
    at: { bsonType: ["date", "null"] },
    raw: { bsonType: "binData" },
    stamp: { bsonType: "timestamp" },
    like: { bsonType: "regex" },
    lines: {
      bsonType: "array",
      items: {
        bsonType: "object",
        required: ["sku"],
        properties: { sku: { bsonType: "string" }, n: { enum: [1, 2] } },
      },
    },
    labels: { bsonType: "object", additionalProperties: { bsonType: "string" } },
  },
};
const total = Decimal128.fromString("12.50");
const documents: readonly object[] = [
  { _id: oid, status: "new", total, count: Long.MAX_VALUE, size: new Double(Number.NaN), any: total, at: new Date(0) },
  {
    _id: "o1",
    status: "paid",
    total,
    count: Long.ONE,
    size: new Double(2),
    any: new Int32(1),
    at: null,
    raw: new UUID(),
  },
  {
    _id: 7,
    status: "paid",
    total,
    raw: new Binary(Buffer.from([1])),
    stamp: new Timestamp({ t: 1, i: 2 }),
    at: new Date(253402300799999),
  },
  {
    _id: "o2",
    status: "new",
    total,
    like: new BSONRegExp("a", "i"),
    labels: { "a.b": "x" },
    lines: [
      { sku: "s", n: 1 },
      { sku: "t", more: 1 },
    ],
  },
  { _id: "o3", status: "new", total, lines: [{ sku: "s", n: Long.fromNumber(2) }], labels: {} },
];

async function typesOf(database: MongoDatabase, more: object = {}): Promise<string> {
  const config = mongoConnector.parse({ url: database.url, database: database.name, ...more }, "sources.shop");
  return typeFiles(SHOP, await mongoConnector.describeCollections(SHOP, config)).get("shop.ts") ?? "";
}

describe.skipIf(missing("mongodb"))(`on ${mongoTarget}, types`, () => {
  test.skipIf(missing("nats")).each(["json", "ejson"])(
    "compile against the events that are delivered in %s",
    async (encoding) => {
      await using database = await freshMongoDatabase();
      const nats = await freshNats();
      const orders = await database.db.createCollection("orders", { validator: { $jsonSchema } });
      const section = {
        kind: "mongodb",
        url: database.url,
        database: database.name,
        collections: ["orders"],
        encoding,
      };
      const worker = await startWorker({ bus: { servers: nats.url, fsync: "always" }, sources: { shop: section } });
      try {
        await waitFor(() => worker.status().sources.every(({ state }) => state === "running"), { what: "the worker" });
        await orders.insertMany(documents as never);
        await orders.updateMany({}, { $set: { status: "paid", count: Long.MIN_VALUE } });
        await orders.replaceOne({ _id: "o1" as never }, { status: "new", total } as never);
        await orders.deleteOne({ _id: "o2" as never });
        const isChange = ({ subject }: { readonly subject: string }): boolean => subject.startsWith("cdc.");
        const events = await waitFor(
          async () => {
            const stream = (await readStream(nats.url, "CDC_SHOP")).filter(isChange);
            return stream.some(({ subject }) => subject.includes(".deleted.")) && stream;
          },
          { what: "the delete" },
        );
        const bodies = events.map(({ text }) => JSON.parse(text) as { op: string; key: object; after: object | null });
        const text = await typesOf(database, { encoding });

        expect(bodies.map(({ op }) => op).sort()).toEqual(
          [...documents.map(() => "created"), ...documents.map(() => "updated"), "updated", "deleted"].sort(),
        );
        const rows = bodies.flatMap(({ after }) => (after === null ? [] : [JSON.stringify(after)]));
        expect(errorsOf(text, rows)).toEqual([]);
        // The key of each is of the same type as the document's own.
        const keys = bodies.map(({ key }) => JSON.stringify(key));
        expect(errorsOf(text, keys, 'Pick<Orders, "_id">')).toEqual([]);
        // And they are no wider than they must be: what is not delivered does not compile.
        expect(errorsOf(text, ['{"_id":true,"status":"new","total":"1"}'])).toHaveLength(1);
      } finally {
        await worker.stop();
      }
    },
  );

  test("allow whatever a validator lets in", async () => {
    await using database = await freshMongoDatabase();
    let nth = 0;
    let accepted = 0;
    const values = fc.sample(value(2), { numRuns: 60, seed: 7 });
    await fc.assert(
      fc.asyncProperty(schema(2), async (v) => {
        const validator = { $jsonSchema: { bsonType: "object", required: ["v"], properties: { v } } };
        const collection = await database.db.createCollection(`c${nth++}`, { validator });
        const candidates = values.map((one, _id) => ({ _id, v: one }));
        await collection.insertMany(candidates as never, { ordered: false }).catch(() => {}); // some are refused
        const kept = new Set(
          (await collection.find({}, { projection: { _id: 1 } }).toArray()).map(({ _id }) => _id as unknown),
        );
        const there = candidates.filter(({ _id }) => kept.has(_id));
        accepted += there.length;
        const { allows, compile } = describeOrders({ validator }, []);
        expect(there.filter((document) => !allows(document))).toEqual([]);
        expect(compile(there)).toEqual([]);
        await collection.drop();
      }),
      { numRuns: 60 },
    );
    expect(accepted).toBeGreaterThan(300);
  });

  test("of mixed keys are from a sample that has each kind, though there are more documents than it takes", async () => {
    await using database = await freshMongoDatabase();
    const many = database.db.collection<{ _id: never }>("many");
    const ids = [
      ...Array.from({ length: 300 }, (_, n) => n),
      ...["a", { k: 1 }, oid, new UUID()],
      ...Array.from({ length: 300 }, (_, n) => new Date(n)),
    ];
    await many.insertMany(ids.map((_id) => ({ _id: _id as never })));
    const text = await typesOf(database);

    expect(text).toContain("/** string | object | binData | objectId | date | int */");
    expect(text).toContain("from a sample of 529 documents: others may differ");
    expect(await typesOf(database)).toBe(text);
  });

  test("leave the outbox out, and refuse a name that is no collection", async () => {
    await using database = await freshMongoDatabase();
    for (const name of ["orders", "outbox"]) await database.db.createCollection(name);
    expect(await typesOf(database, { outbox: { collection: "outbox" } })).not.toContain("outbox");
    await expect(typesOf(database, { collections: ["nowhere"] })).rejects.toMatchObject({
      code: "COLLECTION_NOT_FOUND",
    });
  });

  test("are written by the command, which ends with 3 when they differ, as `sql outbox` is", async () => {
    await using database = await freshMongoDatabase();
    await database.db.createCollection("orders", { validator: { $jsonSchema } });
    const cwd = await scratchDir();
    await mkdir(join(cwd, "src"));
    const section = { kind: "mongodb", url: database.url, database: database.name, outbox: { collection: "said" } };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ sources: { shop: section } }));
    const run = (...args: readonly string[]) => runCommand(args, { cwd });

    expect(await run("types", "--out", "src/rows")).toMatchObject({ code: 0 });
    expect(await run("types", "--out", "src/rows", "--check")).toMatchObject({ code: 0, stdout: "" });
    expect(await readFile(join(cwd, "src/rows/shop.ts"), "utf8")).toContain('readonly status: "new" | "paid";');
    await database.db.command({ collMod: "orders", validator: {} });
    expect(await run("types", "--out", "src/rows", "--check")).toMatchObject({ code: 3 });
    const { code, stdout } = await run("sql", "outbox");
    expect(code).toBe(0);
    expect(stdout).toContain(`db.getSiblingDB("${database.name}").createCollection("said");`);
  });
});

/** Anything that a document may hold, small. */
function value(depth: number): fc.Arbitrary<unknown> {
  const scalars: fc.Arbitrary<unknown>[] = [
    fc.constantFrom("a", "b", "", "1"),
    fc.constantFrom<unknown>(new Int32(2), new Int32(3), new Double(2), new Double(1.5), new Double(Number.NaN)),
    fc.constantFrom<unknown>(
      Long.fromNumber(2),
      Long.MAX_VALUE,
      Decimal128.fromString("2.0"),
      Decimal128.fromString("NaN"),
    ),
    fc.constantFrom<unknown>(true, false, null, oid, new Date(0), new UUID(), new Timestamp({ t: 1, i: 1 })),
  ];
  if (depth === 0) return fc.oneof(...scalars);
  return fc.oneof(
    ...scalars,
    fc.array(value(depth - 1), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("a", "b", "x1"), value(depth - 1), { maxKeys: 3 }),
  );
}

/** A schema of the keywords that are understood, and of some that are not. */
function schema(depth: number): fc.Arbitrary<object> {
  const types = fc.constantFrom(
    "object",
    "array",
    "string",
    "int",
    "long",
    "double",
    "decimal",
    "number",
    "bool",
    "null",
    "date",
    "objectId",
    "binData",
    "timestamp",
  );
  const bsonType = fc.oneof(types, fc.uniqueArray(types, { minLength: 1, maxLength: 3 }));
  const leaf: fc.Arbitrary<object>[] = [
    fc.record({ bsonType }),
    fc.record({
      enum: fc.uniqueArray(fc.constantFrom<unknown>("a", "b", 2, 1.5, true, null), { minLength: 1, maxLength: 3 }),
    }),
    fc.constantFrom<object>(
      {},
      { minLength: 1 },
      { minimum: 1 },
      { type: "number" },
      { type: "object" },
      { type: "boolean" },
    ),
  ];
  if (depth === 0) return fc.oneof(...leaf);
  const inner = schema(depth - 1);
  const list = fc.array(inner, { minLength: 1, maxLength: 2 });
  const object = fc.record(
    {
      bsonType: fc.constant("object"),
      properties: fc.dictionary(fc.constantFrom("a", "b"), inner, { maxKeys: 2, minKeys: 1 }),
      required: fc.uniqueArray(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 2 }),
      additionalProperties: fc.oneof(fc.boolean(), inner),
      patternProperties: fc.record({ "^x": inner }),
    },
    { requiredKeys: [] },
  );
  const array = fc.record(
    { bsonType: fc.constant("array"), items: fc.oneof(inner, list), additionalItems: fc.oneof(fc.boolean(), inner) },
    { requiredKeys: ["items"] },
  );
  return fc.oneof(
    ...leaf,
    object,
    array,
    fc.record({ allOf: list }),
    fc.record({ anyOf: list }),
    fc.record({ oneOf: list }),
    fc.record({ not: inner }),
  );
}
