// The counts of what was committed in the demo's shop on DynamoDB, its writer's and the double's own, agree before anything is compared.

import { afterEach, beforeEach, expect, test } from "vitest";
import { openDynamoShop } from "../../../src/demo/dynamodb/dynamo-shop.ts";
import { numberIn } from "../../../src/demo/dynamodb/independent-log.ts";
import type { ShopDatabase } from "../../../src/demo/shop-database.ts";
import { waitFor } from "../../support/wait-for.ts";

let shop: ShopDatabase;

beforeEach(async () => {
  shop = await openDynamoShop();
});

afterEach(() => shop[Symbol.asyncDispose]());

test("The ledger counts what the double's memory tells, refused transactions left out", async () => {
  const log = await shop.openLog();
  const enough = new AbortController();

  const writing = shop.write(enough.signal);
  await waitFor(async () => (await shop.ledger()).committed > 1_000, { what: "a thousand changes" });
  enough.abort();
  await writing;

  const changes = [...(await log.read())];
  expect(changes.length).toBe((await shop.ledger()).committed);
  expect(await log.read()).toEqual([]);
  const names = changes.map(({ transaction, table, op, id }) => `${transaction}/${table}/${op}/${id}`);
  expect(new Set(names).size).toBe(names.length);
  const kinds = new Set(changes.map(({ table, op }) => `${table}.${op}`));
  for (const kind of ["customers.created", "products.updated", "orders.created", "order_items.created", "order.placed"])
    expect(kinds).toContain(kind);
});

test("A position names the sequence number that its record has", () => {
  const position = `0001.${"100000000000000000042".padStart(40, "0")}.421.0123456789abcdef+`;
  expect(numberIn(position)).toBe("100000000000000000042");
});
