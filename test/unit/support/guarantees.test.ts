// The judge is judged: a right stream passes, and each kind of wrong one is caught.

import { describe, expect, test } from "vitest";
import { canonicalJson, laneOf } from "../../../src/event/lane.ts";
import type { StreamEvent } from "../../support/bus/stream-events.ts";
import { findWrong } from "../../support/check/guarantees.ts";
import { parseChange } from "../../support/check/test-decoding.ts";
import type { TruthChange } from "../../support/check/truth.ts";
import { listWrong, type Wrong } from "../../support/check/wrong.ts";

const keys = new Map([["public.t", ["id"]]]);
const log = [
  ["11", "table public.t: INSERT: id[bigint]:1 v[text]:'a'"],
  ["11", "table public.t: INSERT: id[bigint]:2 v[text]:'b'"],
  ["12", "table public.t: UPDATE: id[bigint]:1 v[text]:'c'"],
  ["13", "table public.t: DELETE: id[bigint]:2"],
] as const;
const truth: readonly TruthChange[] = log.flatMap(([transaction, line]) =>
  parseChange(transaction, line, keys).map((change) => ({ ...change, commitEnd: BigInt(transaction) })),
);

interface Message {
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** The stream that this log should become: a marker, then each transaction. */
function rightStream(): readonly Message[] {
  const changes = truth.map((change, index): Message => {
    const last = truth[index + 1]?.transaction !== change.transaction;
    const first = truth[index - 1]?.transaction !== change.transaction;
    const key = { id: change.key?.id };
    const image = (of: "before" | "after") => {
      const row = change[of];
      return row === undefined ? null : Object.fromEntries(row.values);
    };
    const whole = change.transaction === "11";
    return {
      subject: `cdc.s.public.t.${change.op}.${laneOf(Buffer.from(canonicalJson(key)))}`,
      headers: {
        "ce-id": `s.${index}`,
        "Cdc-Tx": change.transaction,
        "Cdc-Pos": `${index}${last ? "+" : ""}`,
        ...(last ? { "Cdc-Tx-Last": "1" } : {}),
        ...(first && index > 0 ? { "Cdc-Prev": `${index - 1}+` } : {}),
        ...(whole ? { "Nats-Batch-Id": "b1", "Nats-Batch-Sequence": first ? "1" : "2" } : {}),
      },
      text: JSON.stringify({ op: change.op, key, before: image("before"), after: image("after") }),
    };
  });
  return [{ subject: "meta.s.writer", headers: {}, text: "{}" }, ...changes];
}

function judge(messages: readonly Message[]): readonly Wrong[] {
  const events = messages.map(
    ({ subject, headers, text }, index): StreamEvent => ({
      sequence: index + 1,
      subject,
      text,
      header: (name) => headers[name],
    }),
  );
  return findWrong(truth, events, []);
}

function change(at: number, to: (message: Message) => Partial<Message>): readonly Message[] {
  return rightStream().map((message, index) => (index === at ? { ...message, ...to(message) } : message));
}

test("many things wrong are counted by kind, with two examples of each", () => {
  const wrong = judge(rightStream().filter((_, index) => index < 2));
  expect(listWrong(wrong)).toEqual(["3 x lost", "    11 public.t created id=2 #1", "    12 public.t updated id=1 #1"]);
});

test("a right stream passes", () => {
  expect(judge(rightStream())).toEqual([]);
});

describe("caught:", () => {
  const header = (at: number, name: string, value: string): readonly Message[] =>
    change(at, ({ headers }) => ({ headers: { ...headers, [name]: value } }));
  const [marker, first, second, third, fourth] = rightStream() as [Message, Message, Message, Message, Message];
  test.each([
    ["a lost change", [marker, first, second, fourth], "1 x lost\n    12 public.t updated id=1"],
    [
      "a doubled change",
      [marker, first, second, third, third, fourth],
      "1 x once too often\n    12 public.t updated id=1 #2 at 5",
    ],
    [
      "a change of nothing",
      header(3, "Cdc-Tx", "14"),
      "1 x not in the database's log\n    14 public.t updated id=1 #1 at 4",
    ],
    ["two changes in the wrong order", [marker, first, second, fourth, third], "out of order\n    12"],
    ["a wrong value", change(3, ({ text }) => ({ text: text.replace('"c"', '"x"') })), "a column differs\n    v, 12"],
    [
      "a wrong row before",
      change(4, ({ text }) => ({ text: text.replace('before":{', 'before":{"v":"x",') })),
      "a column differs before\n    v, 13",
    ],
    [
      "a row before that is missing",
      change(4, ({ text }) => ({ text: text.replace(/"before":{.*?}/, '"before":null') })),
      "before is missing",
    ],
    [
      "a wrong lane",
      change(3, ({ subject }) => ({ subject: subject.replace(/p..$/, "p99") })),
      "wrong lane\n    p99 should be",
    ],
    ["a missing end of a transaction", header(2, "Cdc-Tx-Last", "0"), "Cdc-Tx-Last or + is wrong"],
    ["a torn transaction", header(2, "Nats-Batch-Id", "b2"), "not in one batch\n    transaction 11"],
    ["an id that does not rise", header(3, "ce-id", "s.0"), "id missing or not rising\n    s.0"],
    ["a broken chain", header(3, "Cdc-Prev", "0"), "Cdc-Prev is wrong\n    at 4"],
    ["a position that falls", header(4, "Cdc-Pos", "0+"), "position falls\n    at 5"],
  ])("%s", (_, messages, expected) => {
    expect(listWrong(judge(messages)).join("\n")).toContain(expected);
  });

  test("a database that was told too early", () => {
    const events = rightStream().map((message, index) => ({
      ...message,
      sequence: index + 1,
      header: (name: string) => message.headers[name],
    }));

    expect(findWrong(truth, events, [{ confirmedFlush: 12n, streamSequence: 4 }])).toEqual([]);
    expect(findWrong(truth, events, [{ confirmedFlush: 12n, streamSequence: 3 }])).toEqual([
      { kind: "acknowledged too early", what: "up to 4 when the stream held 3" },
    ]);
  });
});
