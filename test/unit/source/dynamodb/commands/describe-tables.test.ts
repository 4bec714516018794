// What `millrace types` writes of a DynamoDB's tables, and whether items are as it says.

import { Ajv2020 } from "ajv/dist/2020.js";
import { expect, test } from "vitest";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { typeFiles } from "../../../../../src/schema/type-files.ts";
import { createDynamoConnector } from "../../../../../src/source/dynamodb/connector.ts";
import type { Item } from "../../../../../src/source/dynamodb/values/attribute.ts";
import { type Encoding, itemJson } from "../../../../../src/source/dynamodb/values/attribute-json.ts";
import { ScriptedDynamo } from "../../../../support/dynamodb/scripted-dynamo.ts";
import { errorsOf } from "../../../../support/mongodb/described.ts";
import { VirtualTime } from "../../../../support/virtual-time.ts";

let made = 0;

async function types(section: object, prepare: (server: ScriptedDynamo) => void = () => {}) {
  const time = new VirtualTime();
  const server = new ScriptedDynamo(`types${++made}`, time.clock);
  for (const table of ["orders", "box"]) server.createTable(table);
  server.keys.set("orders", [
    { name: "shop", type: "S" },
    { name: "no", type: "N" },
  ]);
  prepare(server);
  const connector = createDynamoConnector({ connect: async () => server.connect(), clock: time.clock });
  const config = connector.parse({ tables: ["orders"], outbox: { table: "box" }, ...section }, "sources.shop");
  const schemas = await time.when(connector.describeCollections("shop" as SourceId, config));
  const files = typeFiles("shop" as SourceId, schemas);
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  const validate = ajv.compile({ ...JSON.parse(files.get("shop.schema.json") ?? ""), $ref: "#/$defs/_.orders" });
  return { text: files.get("shop.ts") ?? "", allows: (json: string) => validate(JSON.parse(json)) };
}

const item: Item = { shop: { S: "a" }, no: { N: "1" }, more: { M: { x: { SS: ["y"] } } } };
const large: Item = { ...item, no: { N: "12345678901234567890" } };

test("a table's type is its key, and anything else beside it; the outbox has none", async () => {
  const { text, allows } = await types({});
  expect(text).toContain(`export interface Orders {
  /** String */
  readonly shop: string;
  /** Number */
  readonly no: number | string;
  readonly [attribute: string]: unknown;
}`);
  expect(text).toContain(
    "/** An item of `_.orders`, as its key schema has it: of other attributes DynamoDB knows nothing",
  );
  expect(text).toContain(
    'orders: collection<Orders, Pick<Orders, "shop" | "no">>("shop", "_.orders", {\n    columns: { no: "number" },\n    open: true,\n  }),',
  );
  expect(text).toContain("/** The tables of the source `shop`. */");
  expect(text).not.toMatch(/box/i);
  for (const one of [item, large]) {
    expect(allows(itemJson(one, "json"))).toBe(true);
    expect(errorsOf(text, [itemJson(one, "json")])).toEqual([]);
  }
  expect(allows('{"shop":"a"}')).toBe(false);
});

test("keys keep their types where the encoding does", async () => {
  const encoding: Encoding = "dynamodb-json";
  const { text, allows } = await types({ encoding }, (server) =>
    server.keys.set("orders", [
      { name: "shop", type: "S" },
      { name: "no", type: "B" },
    ]),
  );
  expect(text).toContain("readonly shop: { readonly S: string };");
  expect(text).toContain("/** Binary */\n  readonly no: { readonly B: string };");
  const binary: Item = { ...item, no: { B: "AA==" } };
  expect(allows(itemJson(binary, encoding))).toBe(true);
  expect(errorsOf(text, [itemJson(binary, encoding)])).toEqual([]);
  expect(allows(itemJson(binary, "json"))).toBe(false);
});

test.each([
  ["KEYS_ONLY", true],
  ["OLD_IMAGE", true],
  ["NEW_IMAGE", false],
  ["NEW_AND_OLD_IMAGES", false],
] as const)("of a stream of %s, after of an update may be null: %s", async (view, mayLack) => {
  const { text } = await types({}, (server) => void server.views.set("orders", view));
  expect(text.includes('"shop" | "no">, never, Orders | null>')).toBe(mayLack);
});

test("a table that is not there is refused", async () => {
  await expect(types({ tables: ["orders", "absent"] })).rejects.toMatchObject({ code: "TABLE_NOT_FOUND" });
  await expect(types({ tables: ["x*"] })).rejects.toMatchObject({ code: "TABLE_NOT_FOUND" });
});
