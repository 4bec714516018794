// How a MongoDB source asks for batches: bounded by events and by bytes, the next one while one is handed out, and no more ahead.

import { expect, test } from "vitest";
import { positionsAt } from "../../../../src/event/positions.ts";
import type { SourceMessage } from "../../../../src/source/source.ts";
import { DoubleShop, idsOf, untilRead } from "../../../support/mongodb/double-shop.ts";
import { waitFor } from "../../../support/wait-for.ts";

const numbers = (first: number, count: number): readonly number[] => Array.from({ length: count }, (_, n) => first + n);

test("a batch is asked to hold a thousand events, and fewer of large documents, so that it has about two megabytes", async () => {
  const shop = await DoubleShop.start();
  const first = await shop.read();
  shop.insert(0);
  await untilRead(first, 0);
  await first.stop();
  shop.insert(...numbers(1, 1500).map((_id) => ({ _id, text: "x".repeat(5000) })));
  const before = shop.double.received.length;
  const second = await shop.read(first);
  await waitFor(() => second.changes.length === 1500, { what: "all of them" });

  const asked = shop.double.received
    .slice(before)
    .filter(({ name }) => name === "aggregate" || name === "getMore")
    .map(({ body }) => (body.cursor ?? body).batchSize as number);
  expect(asked[0]).toBe(1000);
  // Beside the document itself an event has some hundred bytes.
  expect(asked.at(-1)).toBeGreaterThan(340);
  expect(asked.at(-1)).toBeLessThan(420);
  expect(idsOf(second)).toEqual(numbers(1, 1500));
});

test("whoever takes nothing is a batch ahead of one on its way, and none is asked for behind that", async () => {
  const shop = await DoubleShop.start();
  const first = await shop.read();
  shop.insert(0);
  await untilRead(first, 0);
  await first.stop();
  shop.insert(...numbers(1, 5000));
  const source = await shop.open();
  const ended = new AbortController();
  const asked = (): number => shop.double.count("getMore");
  const before = asked();
  const at = first.placed
    .map(({ position }) => position)
    .sort()
    .at(-1);
  const from = at && positionsAt({ position: at });
  const reading = source.read({ from, signal: ended.signal })[Symbol.asyncIterator]();
  const taken: SourceMessage[] = [];
  const take = async (): Promise<void> => void taken.push(...(await reading.next()).value);
  while (!taken.some(({ type }) => type === "change")) await take();
  await waitFor(() => asked() > before, { what: "the batch ahead" });
  const ahead = asked();
  // Time enough for another one: commands that come behind it have been answered.
  for (let nth = 0; nth < 20; nth++) await source.lag(ended.signal);

  expect(asked()).toBe(ahead);
  await take();
  await waitFor(() => asked() > ahead, { what: "the batch behind it" });
  ended.abort();
  await reading.return?.();
});
