// What goes wrong while a change stream is read, on the wire double, for a real server cannot be made to do it: the reading ends
// by the right class of error, and the next one goes on behind what was handed out, without a hole or a double.

import { describe, expect, test } from "vitest";
import { HistoryLostError, TransientError } from "../../../../src/errors.ts";
import { RESUMABLE } from "../../../support/mongodb/double/failpoints.ts";
import { DoubleShop, idsOf, untilRead } from "../../../support/mongodb/double-shop.ts";
import { oneName } from "../../../support/mongodb/one-name.ts";
import { waitFor } from "../../../support/wait-for.ts";

/** Codes behind which drivers resume, and what else passes. */
const passing = [
  [6, "HostUnreachable"],
  [7, "HostNotFound"],
  [43, "CursorNotFound"],
  [63, "StaleShardVersion"],
  [89, "NetworkTimeout"],
  [91, "ShutdownInProgress"],
  [133, "FailedToSatisfyReadPreference"],
  [136, "CappedPositionLost"],
  [150, "StaleEpoch"],
  [189, "PrimarySteppedDown"],
  [234, "RetryChangeStream"],
  [237, "CursorKilled"],
  [262, "ExceededTimeLimit"],
  [9001, "SocketException"],
  [10107, "NotWritablePrimary"],
  [11600, "InterruptedAtShutdown"],
  [11602, "InterruptedDueToReplStateChange"],
  [13388, "StaleConfig"],
  [13435, "NotPrimaryNoSecondaryOk"],
  [13436, "NotPrimaryOrSecondary"],
  [50811, "Location50811"],
  [260, "InvalidResumeToken"],
] as const;

describe("a reading of a MongoDB source", () => {
  test.each(passing)(
    "ends for now by code %i, %s, while it reads, and the next one goes on",
    async (code, codeName) => {
      const shop = await DoubleShop.start();
      const first = await shop.read();
      shop.insert(1);
      await untilRead(first, 1);
      shop.double.fail({ command: "getMore", code, codeName, labels: code === 43 ? [] : RESUMABLE });
      shop.insert(2);
      const error = await first.ended;
      const second = await shop.read(first);
      shop.insert(3);
      await untilRead(second, 3);

      expect(error).toBeInstanceOf(TransientError);
      expect([...idsOf(first), ...idsOf(second)]).toEqual([1, 2, 3]);
    },
  );

  test("whose connection is lost while the server waits, or while it answers, is followed by one that goes on", async () => {
    const shop = await DoubleShop.start();
    const first = await shop.read();
    shop.insert(1);
    await untilRead(first, 1);
    await waitFor(() => shop.double.count("getMore") > 1, { what: "the server to be asked again" });
    shop.double.cut();
    const error = await first.ended;
    const second = await shop.read(first);
    shop.double.fail({ command: "getMore", close: true, delayMs: 20 });
    shop.insert(2, 3);
    await second.ended;
    const third = await shop.read(first, second);
    await untilRead(third, 3, second);

    expect(error).toMatchObject({ code: "SOURCE_UNREACHABLE" });
    expect([first, second, third].flatMap(idsOf)).toEqual([1, 2, 3]);
  });

  test("whose cursor was killed is followed by one that goes on", async () => {
    const shop = await DoubleShop.start();
    const first = await shop.read();
    shop.insert(1);
    await untilRead(first, 1);
    shop.double.killCursors();
    shop.insert(2);
    await first.ended;
    const second = await shop.read(first);
    await untilRead(second, 2);

    expect([...idsOf(first), ...idsOf(second)]).toEqual([1, 2]);
  });

  test("asks the same mongos for more as opened the stream, where the url names several", async () => {
    const shop = await DoubleShop.start({ topology: "sharded", nodes: 3 });
    const reading = await shop.read();
    for (const id of [1, 2, 3, 4, 5, 6, 7]) {
      shop.insert(id); // the first one may be in the answer that opens the stream
      await untilRead(reading, id);
    }
    const asked = shop.double.received.filter(({ name }) => name === "getMore");

    expect(asked.length).toBeGreaterThan(5);
    expect(new Set(asked.map(({ node }) => node)).size).toBe(1);
    expect(idsOf(reading)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test("follows an election to another member", async () => {
    const shop = await DoubleShop.start({ nodes: 2 });
    const first = await shop.read();
    shop.insert(1);
    await untilRead(first, 1);
    shop.double.elect(1);
    shop.insert(2);
    await first.ended;
    const second = await shop.read(first);
    await untilRead(second, 2);

    expect([...idsOf(first), ...idsOf(second)]).toEqual([1, 2]);
    expect(shop.double.received.at(-1)?.node).toBe(1);
  });

  test("waits for a first answer that takes longer than the url allows a socket", async () => {
    const shop = await DoubleShop.start({ query: "?socketTimeoutMS=50" });
    const first = await shop.read();
    shop.insert(1);
    await untilRead(first, 1);
    await first.stop();
    shop.insert(2);
    shop.double.fail({
      command: "aggregate",
      delayMs: 400,
      when: ({ pipeline }) => pipeline[0].$changeStream.startAfter,
    });
    const second = await shop.read(first);
    await untilRead(second, 2);

    expect(second.over).toBe(false);
  });

  test("ends by a lost history where the oplog has dropped what comes next, when it is opened and while it reads", async () => {
    const shop = await DoubleShop.start();
    const first = await shop.read();
    shop.insert(1);
    await untilRead(first, 1);
    await first.stop();
    shop.insert(2);
    shop.double.oplog.truncate();
    const opened = await (await shop.read(first)).ended;

    expect(opened).toBeInstanceOf(HistoryLostError);
    expect(opened).toMatchObject({ code: "OPLOG_LOST", hint: expect.stringMatching(/--adopt/) });

    const other = await DoubleShop.start();
    const reading = await other.read();
    other.insert(1);
    await untilRead(reading, 1);
    other.double.fail({ command: "getMore", code: 286, labels: ["NonResumableChangeStreamError"] });
    expect(await reading.ended).toMatchObject({ code: "OPLOG_LOST" });
  });

  test("ends by a lost history for any code of which the server says that no stream can go on behind it", async () => {
    const shop = await DoubleShop.start();
    const reading = await shop.read();
    shop.insert(1);
    await untilRead(reading, 1);
    shop.double.fail({ command: "getMore", code: 77777, labels: ["NonResumableChangeStreamError"] });

    expect(await reading.ended).toBeInstanceOf(HistoryLostError);
  });

  test("takes a token that the server cannot read for a lost history only when the stream is opened", async () => {
    const shop = await DoubleShop.start();
    const first = await shop.read();
    shop.insert(1);
    await untilRead(first, 1);
    await first.stop();
    shop.double.fail({
      command: "aggregate",
      code: 260,
      times: 9,
      when: ({ pipeline }) => pipeline[0].$changeStream.startAfter,
    });
    shop.double.fail({ command: "aggregate", code: 286, times: 9, after: 2 });

    expect(await (await shop.read(first)).ended).toBeInstanceOf(HistoryLostError);
  });

  test("opened at a place that a stream of other settings has left goes on behind it", async () => {
    const shop = await DoubleShop.start();
    const first = await shop.read();
    shop.insert(1, 2);
    await untilRead(first, 2);
    await first.stop();
    shop.insert(3);
    const fewer = new DoubleShop(shop.double, {
      section: { collections: ["orders", "!other"], images: { after: "none" } },
    });
    fewer.memory.value = shop.memory.value;
    const second = await fewer.read(first);
    await untilRead(second, 3);

    expect(idsOf(second)).toEqual([3]);
  });

  test("behind an invalidate goes on with what comes then, and behind a restart too", async () => {
    const shop = await DoubleShop.start();
    const first = await shop.read();
    shop.insert(1);
    await untilRead(first, 1);
    shop.double.oplog.dropDatabase("shop");
    shop.insert(2);
    await untilRead(first, 2);
    const kinds = first.messages.flatMap((message) =>
      message.type === "marker" ? [JSON.parse(Buffer.from(message.data).toString()).operationType] : [],
    );
    await first.stop();
    shop.double.oplog.dropDatabase("shop");
    const second = await shop.read(first);
    shop.insert(3);
    await untilRead(second, 3);

    expect(kinds).toEqual(["create", "drop", "dropDatabase", "invalidate", "create"]);
    expect([...idsOf(first), ...idsOf(second)]).toEqual([1, 2, 3]);
  });

  test("leaves out what a mongos shows again behind an invalidate", async () => {
    const shop = await DoubleShop.start({ topology: "sharded", repeats: 3 });
    const first = await shop.read();
    shop.insert(1, 2);
    await untilRead(first, 2);
    shop.double.oplog.dropDatabase("shop");
    shop.insert(3);
    await untilRead(first, 3);
    await first.stop();
    const ids = first.messages.flatMap((message) => ("id" in message && message.type !== "lost" ? [message.id] : []));

    expect(idsOf(first)).toEqual([1, 2, 3]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("asks the same mongos for more where one name leads to several, also while it is asked for its time", async () => {
    const shop = await DoubleShop.start({ topology: "sharded", nodes: 5 });
    const source = await new DoubleShop(shop.double, { section: { url: await oneName(shop.double) } }).open();
    const { signal } = new AbortController();
    const chunks = source.read({ from: undefined, signal });
    const reader = chunks[Symbol.asyncIterator]();
    const ids: unknown[] = [];
    const readUpTo = async (id: number): Promise<void> => {
      while (!ids.includes(id)) {
        const { value = [] } = await reader.next();
        for (const one of value) if (one.type === "change") ids.push(JSON.parse(String(Buffer.from(one.data))).key._id);
      }
    };
    shop.insert(1);
    await readUpTo(1);
    shop.double.fail({ command: "ping", delayMs: 200 });
    const lag = source.lag(signal);
    shop.insert(2);
    await readUpTo(2);
    await lag;
    await reader.return?.();

    expect(ids).toEqual([1, 2]);
  });

  test("puts a split event together, hands nothing out of one that is cut off, and begins that one anew", async () => {
    const shop = await DoubleShop.start({
      maxEventBytes: 4000,
      section: { images: { before: "stored", after: "stored" } },
    });
    const first = await shop.read();
    shop.insert({ _id: 1, text: "a".repeat(2500) });
    await untilRead(first, 1);
    // Each fragment by itself, and the connection is lost behind the first.
    await first.stop();
    const text = "b".repeat(2500);
    shop.double.oplog.write("shop", [{ update: "orders", id: 1, set: { text } }]);
    shop.double.splitReplies(1);
    shop.double.fail({ command: "getMore", close: true });
    const second = await shop.read(first);
    await second.ended;
    const third = await shop.read(first, second);
    await waitFor(() => third.changes.length > 0, { what: "the event" });
    shop.insert(2);
    await untilRead(third, 2);
    await third.stop();
    const fourth = await shop.read(third);
    shop.insert(3);
    await untilRead(fourth, 3);

    expect(second.changes).toEqual([]);
    const [update] = third.changes;
    expect(JSON.parse(Buffer.from(update?.data ?? []).toString())).toMatchObject({
      op: "updated",
      before: { _id: 1, text: "a".repeat(2500) },
      after: { _id: 1, text },
      changed: ["text"],
    });
    expect(idsOf(third)).toEqual([1, 2]);
    expect(idsOf(fourth)).toEqual([3]);
  });

  test("of another cluster behind the address is refused, and read on by --adopt in a new history", async () => {
    const shop = await DoubleShop.start();
    const first = await shop.read();
    shop.insert(1);
    await untilRead(first, 1);
    await first.stop();
    const other = await DoubleShop.start();
    other.memory.value = shop.memory.value;
    const error = await other.open().catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(HistoryLostError);
    expect(error).toMatchObject({
      code: "SOURCE_OTHER_CLUSTER",
      foreign: true,
      hint: expect.stringMatching(/--adopt/),
    });
    await other.open({ adopt: true });
    expect(other.memory.value).toMatchObject({ history: 2, lost: { code: "SOURCE_OTHER_CLUSTER" } });
  });
});
