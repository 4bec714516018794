// What waits to be published: what goes together, and when there is something to send.

import { expect, test } from "vitest";
import { WriterQueue } from "../../../src/bus/jetstream/writer/writer-queue.ts";
import type { StreamMessage } from "../../../src/event/message.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { transaction } from "../../support/postgres/transactions.ts";

const source = "shop" as SourceId;

const queueOf = (...messages: readonly StreamMessage[]): WriterQueue => {
  const queue = new WriterQueue();
  for (const message of messages) queue.push(message);
  return queue;
};

test("a transaction waits once its end is there, until it is taken away", () => {
  const [first, second] = transaction(source, 10, 2) as [StreamMessage, StreamMessage];
  const queue = queueOf(first);
  expect([queue.waiting, queue.next()]).toEqual([false, undefined]);
  queue.push(second);
  expect([queue.waiting, queue.next()?.length]).toEqual([true, 2]);
  queue.drop(2);

  expect(queue.waiting).toBe(false);
});

test("a part of a transaction waits when it fills a batch, and what it leaves does not", () => {
  const queue = queueOf(...transaction(source, 10, 1001, { whole: false }));
  expect([queue.waiting, queue.next()?.length]).toEqual([true, 1000]);
  queue.drop(1000);

  expect([queue.waiting, queue.length]).toEqual([false, 1]);
});
