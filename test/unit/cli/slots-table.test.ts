// What the table of slots says below them, and that it colours only where colours are wanted.

import { expect, test } from "vitest";
import { type ShownSlot, slotLines } from "../../../src/cli/common/slots-table.ts";
import { type Paint, paint } from "../../../src/cli/common/terminal.ts";
import type { ServerReport } from "../../../src/source/postgres/commands/slots.ts";

const slot: ShownSlot = {
  name: "millrace_shop",
  source: "shop",
  orphan: false,
  plugin: "pgoutput",
  database: "app",
  active: true,
  pid: 4711,
  inactiveSeconds: null,
  walStatus: "reserved",
  invalidation: null,
  retainedBytes: 0,
  unsentBytes: 0,
  unconfirmedBytes: 0,
  restartGapBytes: 0,
  catalogXminAge: 0,
  spilledBytes: 0,
  replySeconds: 0,
  safeBytes: null,
  fullInSeconds: null,
  failover: true,
  synced: false,
  lagSeconds: null,
  heartbeatSeconds: null,
  alarms: [],
};
const neighbour = { ...slot, name: "theirs", source: null, active: false, pid: null, failover: false };
const plain = paint({ isTTY: false });

const byProcess = { pid: 99, gid: null, ageSeconds: 400 };

function text(
  slots: readonly ShownSlot[],
  colour: Paint = plain,
  oldestTransaction: ServerReport["oldestTransaction"] = byProcess,
): string {
  const report = { systemId: "7", walBytesPerSecond: 0, oldestTransaction, slots };
  return slotLines(report, ["shop"], colour).join("\n");
}

test("a slot that the next checkpoint takes is red, though somebody reads it", () => {
  const colour: Paint = (name, words) => `<${name}>${words}`;

  expect(text([{ ...slot, walStatus: "unreserved" }], colour)).toContain("<red>* millrace_shop");
  expect(text([slot], colour)).toContain("<green>* millrace_shop");
});

test("a neighbour's slot that nobody has read for five minutes, or can any more, comes with what drops it", () => {
  expect(text([{ ...neighbour, inactiveSeconds: 299 }])).not.toContain("slots drop");
  expect(text([{ ...neighbour, inactiveSeconds: 300 }])).toContain("millrace slots drop theirs");
  expect(text([{ ...neighbour, inactiveSeconds: 1, invalidation: "wal_removed" }])).toMatch(
    /theirs +lost[\s\S]+gave it up: wal_removed[\s\S]+slots drop theirs/,
  );
});

test("our own slot that no standby would have is named, a marked one and a neighbour's are not", () => {
  expect(text([{ ...slot, failover: false }])).toContain("not marked for failover");
  for (const fine of [slot, { ...slot, failover: null }, neighbour]) {
    expect(text([fine])).not.toContain("failover");
  }
});

test("the transaction that holds all slots back is named by its process, or by its own name", () => {
  expect(text([slot])).toContain("oldest writing transaction: process 99, open for 7 min");
  const prepared = { pid: null, gid: "two-phase", ageSeconds: null };
  expect(text([slot], plain, prepared)).toContain(
    "oldest writing transaction: prepared transaction two-phase; no slot",
  );
});

test("colours are for a terminal, and not for one that has NO_COLOR", () => {
  const painted = (isTTY: boolean): boolean => text([slot], paint({ isTTY })).includes("\u{1b}[");
  const before = process.env.NO_COLOR;
  try {
    delete process.env.NO_COLOR;
    expect([painted(false), painted(true)]).toEqual([false, true]);
    process.env.NO_COLOR = "1";
    expect(painted(true)).toBe(false);
  } finally {
    if (before === undefined) delete process.env.NO_COLOR;
    else process.env.NO_COLOR = before;
  }
});
