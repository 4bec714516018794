// Where a Postgres source goes on, and what it says of where its log begins: by the end of the stream, and what the slot has.

import { expect, test } from "vitest";
import type { Position } from "../../../../../src/event/position.ts";
import { parseLsn } from "../../../../../src/source/postgres/client/lsn.ts";
import { boundaryBefore } from "../../../../../src/source/postgres/client/position.ts";
import { resumeAt } from "../../../../../src/source/postgres/slot/resume.ts";
import type { Created } from "../../../../../src/source/postgres/slot/slot-record.ts";

const BEGIN = "0/1000";
const created: Created = {
  ...{ stage: "created", slot: "millrace_shop", publication: "millrace_shop", database: "shop" },
  ...{ systemId: "7", timeline: 1, history: 1, consistentPoint: BEGIN },
};
const details = { history: 1, slot: "millrace_shop", systemId: "7", timeline: 1, consistentPoint: BEGIN };
const cause = { code: "SLOT_MISSING", message: "it was dropped" };
const lost = { code: "SLOT_MISSING", reason: "it was dropped", details: { slot: "millrace_shop" } };
/** In the transaction whose commit is at this place. */
const at = (final: string, end: "+" | "" = "+", history = 1): Position =>
  `000${history}.${parseLsn(final).toString(16).padStart(16, "0")}.0000000000000800.r000000${end}` as Position;
const never = (): boolean => false;
const always = (): boolean => true;

test("a first start begins where the slot does, and says the same whatever the stream has by then", () => {
  const began = { type: "began", position: boundaryBefore(1, parseLsn(BEGIN)), details };

  expect(resumeAt(created, undefined, parseLsn(BEGIN), never)).toMatchObject({ from: began.position, began });
  const later = resumeAt(created, at("0/2000"), parseLsn("0/1800"), never);
  expect(later).toEqual({ from: at("0/2000"), start: parseLsn("0/2001"), intent: created, began });
});

test("a new history says what ended the one before, and what of that the database no longer has", () => {
  const next: Created = { ...created, history: 2, cause };
  const position = boundaryBefore(2, parseLsn(BEGIN));
  const promoted: Created = { ...next, cause: { ...cause, switchedAt: "0/1800" } };

  expect(resumeAt(next, at("0/2000"), parseLsn(BEGIN), never).began).toEqual({
    ...{ type: "began", position, details: { ...details, history: 2 }, lost: { ...lost, goneBehind: undefined } },
  });
  const goneBehind = boundaryBefore(1, parseLsn("0/1800"));
  expect(resumeAt(promoted, at("0/2000"), parseLsn(BEGIN), never).began.lost).toEqual({ ...lost, goneBehind });
  expect(resumeAt(promoted, at("0/1700"), parseLsn(BEGIN), never).began.lost?.goneBehind).toBeUndefined();
  expect(resumeAt(promoted, at("0/2000", "+", 2), parseLsn(BEGIN), never).began.lost?.goneBehind).toBeUndefined();
});

test("a slot that was advanced begins anew in its history, behind all that the stream has of it", () => {
  const stored = at("0/2000");
  expect(() => resumeAt(created, stored, parseLsn("0/3000"), never)).toThrow(
    expect.objectContaining({ code: "SLOT_ADVANCED" }),
  );

  const accepted = resumeAt(created, stored, parseLsn("0/3000"), always);
  const position = boundaryBefore(1, parseLsn("0/3000"));
  expect(accepted).toMatchObject({ from: position, start: parseLsn("0/3000"), began: { position } });
  expect(accepted.began.lost).toMatchObject({ code: "SLOT_ADVANCED", details: { slot: "millrace_shop" } });
  // Killed before the stream has it: the same is said, and nobody is asked again.
  expect(resumeAt(accepted.intent, stored, parseLsn("0/3000"), never)).toEqual(accepted);
  // Once the stream has it, it goes on from there.
  expect(resumeAt(accepted.intent, position, parseLsn("0/3000"), never)).toMatchObject({
    from: position,
    start: parseLsn("0/3000"),
    began: { position },
  });
});

test("one that was advanced right behind a transaction that the stream has in part begins behind all of that", () => {
  const inside = at("0/2000", "");
  const accepted = resumeAt(created, inside, parseLsn("0/2001"), always);

  expect(accepted.began.position).toBe("0001.0000000000002000.ffffffffffffffff.a000000+");
  expect([accepted.from, accepted.start]).toEqual([accepted.began.position, parseLsn("0/2001")]);
  expect(accepted.began.position > inside && accepted.began.position < at("0/2001", "")).toBe(true);
  expect(resumeAt(accepted.intent, inside, parseLsn("0/2001"), never)).toEqual(accepted);
  // The stream has it: what it says of its beginning is behind that.
  const again = resumeAt(accepted.intent, accepted.began.position, parseLsn("0/2001"), never);
  expect(again.from).toBe(accepted.began.position);
  expect(again.began.position < accepted.began.position).toBe(true);
});
