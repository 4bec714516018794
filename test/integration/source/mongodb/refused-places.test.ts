// A place that the server does not find again, on the wire double: by its token, at its time, or because what comes next cannot
// be sent. What there is comes all the same, once; what is not there is said.

import { describe, expect, test } from "vitest";
import { HistoryLostError } from "../../../../src/errors.ts";
import type { Fault } from "../../../support/mongodb/double/failpoints.ts";
import { DoubleShop, idsOf, untilRead } from "../../../support/mongodb/double-shop.ts";
import { waitFor } from "../../../support/wait-for.ts";

const fatal: Fault = { command: "getMore", code: 280, labels: ["NonResumableChangeStreamError"] };
/** Every opening by a token, and no opening at a time. */
const byToken: Pick<Fault, "command" | "when" | "times"> = {
  command: "aggregate",
  when: ({ pipeline }) => pipeline[0].$changeStream.startAfter !== undefined,
  times: 99,
};

async function readOf(
  count: number,
): Promise<{ readonly shop: DoubleShop; readonly first: Awaited<ReturnType<DoubleShop["read"]>> }> {
  const shop = await DoubleShop.start();
  const first = await shop.read();
  for (let id = 1; id <= count; id++) shop.insert(id);
  await untilRead(first, count);
  return { shop, first };
}

describe("a reading of a MongoDB source whose place is refused", () => {
  test("while it reads (280 on a log that holds it) goes on at its time, with nothing twice", async () => {
    const { shop, first } = await readOf(3);
    shop.double.fail(fatal);
    shop.double.fail({ ...byToken, code: 280 });
    await waitFor(() => shop.double.armed === 1, { what: "the stream to fail" });
    shop.insert(4);
    await untilRead(first, 4);

    expect(first.over).toBe(false);
    expect(idsOf(first)).toEqual([1, 2, 3, 4]);
  });

  test("in the middle of a transaction goes on within it", async () => {
    const { shop, first } = await readOf(1);
    shop.double.splitReplies(2);
    const inserts = [2, 3, 4, 5].map((_id) => ({ insert: "orders", document: { _id } }));
    shop.double.fail({ ...fatal, after: shop.double.openCursors });
    shop.double.fail({ ...byToken, code: 280 });
    shop.double.oplog.write("shop", inserts);
    shop.insert(6);
    await untilRead(first, 6);

    expect(idsOf(first)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(first.changes.slice(1, 5).map(({ position }) => position.endsWith("+"))).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect(new Set(first.changes.map(({ id }) => id)).size).toBe(6);
  });

  test.each([280, 260, 50811])(
    "when it is opened (%i on a log that holds it) goes on at its time, once",
    async (code) => {
      const { shop, first } = await readOf(2);
      await first.stop();
      shop.insert(3);
      shop.double.fail({ ...byToken, code });
      const second = await shop.read(first);
      await untilRead(second, 3);

      expect(idsOf(second)).toEqual([3]);
    },
  );

  test("by its token and at its time has lost its history, after one try of each", async () => {
    const { shop, first } = await readOf(2);
    await first.stop();
    shop.double.fail({ ...byToken, code: 280 });
    shop.double.fail({
      ...byToken,
      code: 280,
      when: ({ pipeline }) => pipeline[0].$changeStream.startAtOperationTime,
      after: 2,
    });
    const from = shop.double.count("aggregate");
    const error = await (await shop.read(first)).ended;

    expect(error).toBeInstanceOf(HistoryLostError);
    expect(error).toMatchObject({ code: "RESUME_REFUSED", hint: expect.stringMatching(/--adopt/) });
    // Two of them by the start, to see whether it may read at all.
    expect(shop.double.count("aggregate") - from).toBe(4);
  });

  test("again and again at the same event while it reads has lost its history", async () => {
    const { shop, first } = await readOf(1);
    shop.double.fail({ ...fatal, times: 99 });

    expect(await first.ended).toMatchObject({ code: "RESUME_REFUSED" });
  });

  test("by another log that reaches back as far, which calls itself the same, has lost its history", async () => {
    const { shop, first } = await readOf(2);
    await first.stop();
    const copy = await DoubleShop.start();
    copy.double.id = shop.double.id;
    copy.memory.value = shop.memory.value;
    copy.insert(8, 9);
    copy.double.oplog.reachBackTo(shop.double.oplog.oldest);
    const error = await (await copy.read(first)).ended;

    expect(error).toMatchObject({ code: "RESUME_REFUSED" });
  });
});

describe("an event that the server cannot send, because a part of it is larger than a document may be,", () => {
  test("is put aside in its place, with its key; what stands before and behind it comes, once", async () => {
    const shop = await DoubleShop.start({ maxEventBytes: 4000 });
    const first = await shop.read();
    await waitFor(() => first.started, { what: "the stream to be opened" });
    await first.stop();
    shop.insert(1, 2, { _id: "large", text: "x".repeat(5000) }, 3, { _id: "too", text: "y".repeat(5000) }, 4);
    const second = await shop.read(first);
    await untilRead(second, 4);
    const told = second.placed.flatMap((message) => {
      if (message.type === "poison") return [message];
      return message.type === "change" ? [JSON.parse(Buffer.from(message.data).toString()).key._id] : [];
    });
    const third = await shop.read(second);
    shop.insert(5);
    await untilRead(third, 5);

    const poison = expect.objectContaining({ type: "poison", namespace: "shop", collection: "orders" });
    expect(told).toEqual([1, 2, poison, 3, poison, 4]);
    const [, , large] = told;
    expect(large).toMatchObject({ error: { code: "EVENT_TOO_LARGE" }, sha256: undefined });
    expect(large.sizeBytes).toBeGreaterThan(5000);
    expect(Buffer.from(large.raw).toString("latin1")).toContain("large");
    expect(second.over).toBe(false);
    expect(idsOf(third)).toEqual([5]);
  });

  test("within a transaction leaves it whole", async () => {
    const shop = await DoubleShop.start({ maxEventBytes: 4000 });
    const first = await shop.read();
    shop.insert(1);
    await untilRead(first, 1);
    const inserts = [{ _id: 2 }, { _id: 3, text: "x".repeat(5000) }, { _id: 4 }].map((document) => ({
      insert: "orders",
      document,
    }));
    shop.double.oplog.write("shop", inserts);
    shop.insert(5);
    await untilRead(first, 5);
    const [, ...group] = first.placed.filter(({ type }) => type === "change" || type === "poison");

    expect(group.map(({ type, position }) => [type, position.endsWith("+")])).toEqual([
      ["change", false],
      ["poison", false],
      ["change", true],
      ["change", true],
    ]);
  });

  test("ends the reading of a sharded cluster by a lost history: there is no place behind it", async () => {
    const shop = await DoubleShop.start({ maxEventBytes: 4000, topology: "sharded" });
    const reading = await shop.read();
    shop.insert(1, { _id: "large", text: "x".repeat(5000) }, 2);
    const error = await reading.ended;

    expect(error).toBeInstanceOf(HistoryLostError);
    expect(error).toMatchObject({ code: "EVENT_UNSENDABLE", hint: expect.stringMatching(/--adopt/) });
    expect(idsOf(reading)).toEqual([1]);
  });
});
