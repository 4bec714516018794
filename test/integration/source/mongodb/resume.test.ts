// Where a MongoDB source goes on when the server refuses the token of its place, or when its options have changed; on the wire double.

import { expect, test } from "vitest";
import { HistoryLostError } from "../../../../src/errors.ts";
import { positionsAt } from "../../../../src/event/positions.ts";
import { SourceReading } from "../../../contract/source/source-reading.ts";
import type { MongoDouble } from "../../../support/mongodb/double/mongodb-double.ts";
import { Oplog } from "../../../support/mongodb/double/oplog.ts";
import { DoubleShop, idsOf, type Memory, untilRead } from "../../../support/mongodb/double-shop.ts";
import { waitFor } from "../../../support/wait-for.ts";

/** The next streams that are opened behind a token are refused, as one whose event is not found. */
function refuseTokens(double: MongoDouble, times: number): void {
  const when = ({ pipeline }: { readonly pipeline?: readonly Record<string, { readonly startAfter?: unknown }>[] }) =>
    pipeline?.[0]?.$changeStream?.startAfter;
  double.fail({ command: "aggregate", code: 280, codeName: "ChangeStreamFatalError", times, when });
}

function sameShop(double: MongoDouble, { value }: Memory, section: Readonly<Record<string, unknown>>): DoubleShop {
  const shop = new DoubleShop(double, { section });
  shop.memory.value = value;
  return shop;
}

test("a source that was killed between its record and the first event begins where it would have begun", async () => {
  const shop = await DoubleShop.start();
  const { memory } = shop;
  await shop.open();
  const record = memory.value;
  shop.insert(1);
  await shop.open();
  shop.insert(2);
  const reading = await shop.read();
  await untilRead(reading, 2);

  expect(record).toMatchObject({ kind: "mongodb", history: 1 });
  expect(memory.value).toEqual(record);
  expect(idsOf(reading)).toEqual([1, 2]);
});

test("behind each place whose token is refused the source goes on by its time, without a hole or a double", async () => {
  const shop = await DoubleShop.start();
  const { oplog } = shop.double;
  const first = await shop.read();
  shop.insert(1, 2);
  oplog.write(
    "shop",
    [3, 4, 5].map((id) => ({ insert: "orders", document: { _id: id } })),
  );
  oplog.write("elsewhere", [{ insert: "orders", document: { _id: 0 } }]);
  shop.insert(6);
  await untilRead(first, 6);
  await first.stop();
  const all = idsOf(first);

  expect(all).toEqual([1, 2, 3, 4, 5, 6]);
  for (const [behind, { position }] of first.changes.entries()) {
    refuseTokens(shop.double, 1);
    const again = new SourceReading(await shop.open(), positionsAt({ position }));
    shop.insert(10 + behind);
    await untilRead(again, 10 + behind);
    await again.stop();

    expect(shop.double.armed).toBe(0);
    expect(idsOf(again).slice(0, 5 - behind)).toEqual(all.slice(behind + 1));
    expect(again.changes.map((change) => change.position).slice(0, 5 - behind)).toEqual(
      first.changes.map((change) => change.position).slice(behind + 1),
    );
  }
});

test("a log that does not show the event of the place at its time is another one, and a lost history", async () => {
  const fork = new Oplog();
  const shop = await DoubleShop.start();
  const first = await shop.read();
  shop.insert(1);
  await untilRead(first, 1);
  await first.stop();
  fork.create("shop", "orders");
  for (let n = 0; n < 20; n++) fork.tick();
  const forked = await DoubleShop.start({ oplog: fork });
  forked.double.id = shop.double.id;
  forked.memory.value = shop.memory.value;
  forked.insert(2);
  refuseTokens(forked.double, 1);
  const second = await forked.read(first);

  expect(await second.ended).toBeInstanceOf(HistoryLostError);
  expect(await second.ended).toMatchObject({ code: "RESUME_REFUSED" });
  expect(idsOf(second)).toEqual([]);
});

test("where the options have changed, the event of the place need not be in the log that is read: nothing behind it is left out", async () => {
  const shop = await DoubleShop.start({ section: { collections: ["orders"] } });
  const { double } = shop;
  const first = await shop.read();
  const [before, own, behind] = [
    { insert: "others", document: { _id: 10 } },
    { insert: "orders", document: { _id: 1 } },
    { insert: "others", document: { _id: 11 } },
  ];
  double.oplog.write("shop", [before, own, behind]);
  await untilRead(first, 1);
  await first.stop();
  double.oplog.write("shop", [{ insert: "others", document: { _id: 12 } }]);

  let memory = shop.memory;
  // Once more, as behind a kill before the first event: that the token is another stream's is on record by then.
  for (let round = 0; round < 2; round++) {
    const others = sameShop(double, memory, { collections: ["others"] });
    refuseTokens(double, 1);
    const second = await others.read(first);
    await untilRead(second, 12);
    expect(idsOf(second)).toEqual([11, 12]);
    memory = others.memory;
  }
  const both = sameShop(double, memory, { collections: ["*"], images: { before: "stored" } });
  const third = await both.read(first);
  await untilRead(third, 12);
  expect(idsOf(third)).toEqual([11, 12]);
  expect(JSON.parse(Buffer.from(third.changes[0]?.data ?? []).toString())).toMatchObject({
    op: "created",
    before: null,
  });
});

test("a database more is read from the place on; one that has nothing in common with what was read is another source's", async () => {
  const shop = await DoubleShop.start();
  const { double } = shop;
  const first = await shop.read();
  shop.insert(1);
  await untilRead(first, 1);
  await first.stop();
  const wide = sameShop(double, shop.memory, { database: undefined, databases: ["shop", "other"] });
  const second = await wide.read(first);
  double.oplog.write("other", [{ insert: "orders", document: { _id: 2 } }]);
  await untilRead(second, 2);
  await second.stop();
  expect(idsOf(second)).toEqual([2]);

  const other = sameShop(double, wide.memory, { database: "other" });
  const third = await other.read(first, second);
  double.oplog.write("other", [{ insert: "orders", document: { _id: 3 } }]);
  await untilRead(third, 3);
  await third.stop();
  const strange = sameShop(double, other.memory, { database: "strange" });
  await expect(strange.open()).rejects.toMatchObject({ code: "SOURCE_OTHER_DATABASE", foreign: true });
  expect(strange.memory.value).toEqual(other.memory.value);
  await strange.open({ adopt: true });
  expect(strange.memory.value).toMatchObject({ history: 2, lost: { code: "SOURCE_OTHER_DATABASE" } });
});

test("a stream that fails for good is opened once more at its place, and given up when it fails there again", async () => {
  const shop = await DoubleShop.start();
  const reading = await shop.read();
  shop.insert(1);
  await untilRead(reading, 1);
  const fatal = { command: "getMore", code: 280, labels: ["NonResumableChangeStreamError"] } as const;
  for (const id of [2, 3]) {
    shop.double.fail(fatal);
    // Behind the event before and nowhere else: an answer that was on its way brings the next one without it.
    await waitFor(() => shop.double.armed === 0, { what: "the stream to fail" });
    shop.insert(id);
    await untilRead(reading, id);
  }
  expect(idsOf(reading)).toEqual([1, 2, 3]);

  shop.double.fail({ ...fatal, times: 9 });
  expect(await reading.ended).toMatchObject({ code: "RESUME_REFUSED" });
});
