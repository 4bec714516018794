// What the events of a MongoDB collection carry, and what is refused to automations by it, without a server.

import { expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { lackingImages } from "../../../src/automation/run/needed-images.ts";
import { realClock } from "../../../src/clock.ts";
import { collection, type Trigger } from "../../../src/index.ts";
import { carriedImages, openImages } from "../../../src/source/mongodb/check/carried-images.ts";

interface Item {
  readonly _id: string;
  readonly stock: number;
}
const items = collection<Item, { _id: string }, never, Item | null>("shop", "shop.items");
type Side = "stored" | "none";

async function refusals(on: Trigger, images: { before: Side; after: Side | "lookup" }, stores: boolean) {
  const found = { id: "1", namespace: "shop", name: "items", images: stores };
  const lacking = await lackingImages(
    [automation("a", { on }, () => {})],
    async (_, of) => (openImages(of).length === 0 ? undefined : carriedImages({ images }, of, found)),
    realClock,
  );
  return lacking.map(({ error }) => error);
}

test("a document before is there where the source asks for it and the collection stores it, with the command that makes it so", async () => {
  const low = items.crosses("stock", { below: 10 });

  expect(await refusals(low, { before: "stored", after: "lookup" }, true)).toEqual([]);
  expect(await refusals(low, { before: "stored", after: "lookup" }, false)).toMatchObject([
    {
      code: "AUTOMATION_IMAGES",
      message: expect.stringContaining("its trigger reads before of shop.items"),
      hint: 'In mongosh: db.getSiblingDB("shop").runCommand({ collMod: "items", changeStreamPreAndPostImages: { enabled: true } })',
    },
  ]);
  expect(await refusals(low, { before: "none", after: "lookup" }, true)).toMatchObject([
    { hint: 'Set images.before to "stored" on the source.' },
  ]);
});

test("which fields changed the log tells by itself", async () => {
  expect(await refusals(items.changed("stock"), { before: "none", after: "lookup" }, false)).toEqual([]);
  const to = items.updated({ column: "stock", to: 0 });
  expect(await refusals(to, { before: "none", after: "lookup" }, false)).toEqual([]);
  const from = items.updated({ column: "stock", from: 0 });
  expect(await refusals(from, { before: "none", after: "lookup" }, false)).toHaveLength(1);
});

test("a document after an update is there unless the source leaves it out or the collection does not store it", async () => {
  expect(await refusals(items.updated(), { before: "none", after: "none" }, true)).toHaveLength(1);
  expect(await refusals(items.updated(), { before: "none", after: "stored" }, false)).toHaveLength(1);
  expect(await refusals(items.updated({ images: [] }), { before: "none", after: "none" }, true)).toEqual([]);
  expect(await refusals(items.created(), { before: "none", after: "none" }, false)).toEqual([]);
});
