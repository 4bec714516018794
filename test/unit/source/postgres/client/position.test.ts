// Positions of a Postgres source: the exclusive ends of the database as inclusive bounds, and back.

import { describe, expect, test } from "vitest";
import type { Position } from "../../../../../src/event/position.ts";
import { formatLsn, hex16, parseLsn } from "../../../../../src/source/postgres/client/lsn.ts";
import { boundaryBefore, finalOf, historyOf, startLsn } from "../../../../../src/source/postgres/client/position.ts";

describe("a log sequence number", () => {
  test("is written as Postgres writes it", () => {
    expect(formatLsn(parseLsn("16/B374D848"))).toBe("16/B374D848");
    expect(formatLsn(parseLsn("0/0"))).toBe("0/0");
    expect(parseLsn("1/0")).toBe(1n << 32n);
  });

  test("has sixteen hex digits in a position, whatever its halves", () => {
    expect(hex16(0xffffffff, 0)).toBe("ffffffff00000000");
    expect(hex16(1, 0xabc)).toBe("0000000100000abc");
  });
});

describe("a position", () => {
  test("covers an exclusive end up to the byte before it", () => {
    expect(boundaryBefore(1, parseLsn("1/0"))).toBe("0001.00000000ffffffff.0000000000000000.a000000+");
  });

  test("that is complete goes on behind its final LSN", () => {
    const end = parseLsn("0/16B3748");

    expect(startLsn(boundaryBefore(3, end))).toBe(end);
    expect(historyOf(boundaryBefore(3, end))).toBe(3);
  });

  test("inside a transaction goes on at that transaction's beginning", () => {
    const inside = "0001.00000000000000ff.00000000000000aa.r000002" as Position;

    expect(startLsn(inside)).toBe(0xffn);
    expect(finalOf(inside)).toBe(0xffn);
  });

  test("that another kind of source wrote is a bug", () => {
    expect(() => startLsn("82635A0000" as Position)).toThrow(expect.objectContaining({ code: "POSITION_MALFORMED" }));
  });
});
