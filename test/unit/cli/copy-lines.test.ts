// What `millrace backfill` says of a copy in each state.

import { expect, test } from "vitest";
import type { Order } from "../../../src/backfill/order.ts";
import type { Progress } from "../../../src/backfill/progress.ts";
import { newestCopy } from "../../../src/backfill/standing.ts";
import { copyBar, copyLines, endLines } from "../../../src/cli/common/copy-lines.ts";
import { meanPace, RecentPace } from "../../../src/cli/common/copy-pace.ts";
import type { CopyLook } from "../../../src/cli/common/copy-watch.ts";
import type { SourceId } from "../../../src/event/source-id.ts";

const shop = "shop" as SourceId;
const asked: Order = { backfill: 3, state: "running", by: "ann@db1", at: "2026-01-02T03:00:00Z" };
const told: Progress = {
  ...{ backfill: 3, state: "copying", startedAt: "2026-01-02T03:00:01.000Z", rows: 400, done: 2, estimatedRows: 1000 },
  at: { id: "1", namespace: "public", collection: "orders", after: { id: "9" } },
};
const toldAt = "2026-01-02T03:00:21.000Z";

function look(order: Partial<Order> | undefined, progress?: Partial<Progress>, isRead = true): CopyLook {
  const copy = newestCopy(order && { ...asked, ...order }, progress && { ...told, ...progress });
  return { copy, toldAt: copy?.progress && toldAt, isRead };
}
const lines = (one: CopyLook): string => copyLines(shop, one, meanPace(one)).join("\n");

test("one that was never ordered says how to begin", () => {
  expect(lines(look(undefined))).toBe("shop was never copied: millrace backfill start shop");
});

test("one that goes on says how far, how fast in the mean, and about how long it takes", () => {
  expect(lines(look({ collections: ["public.items", "public.orders"], rate: 50 }, {}))).toBe(
    `copy 3 of shop: copying
  asked for: public.items, public.orders, at most 50 rows/s; last by ann@db1 at 2026-01-02T03:00:00Z
  400 of about 1000 rows (40 %), 2 collections done, in public.orders, 20 rows/s, about 30 s left (an estimate)
  since 2026-01-02T03:00:01.000Z, last told at 2026-01-02T03:00:21.000Z`,
  );
});

test("of a table without a key it says what that costs, and what begins it again", () => {
  const asOf = { snapshot: "10:20:", time: "2026-01-02T03:00:05.000001Z" };
  const at = { ...(told.at ?? expect.unreachable()), asOf };

  expect(lines(look({}, { at }))).toContain(
    "\n  public.orders has no key: it is read as of 2026-01-02T03:00:05.000001Z, in one snapshot that holds back VACUUM until its end; a pause or a restart begins it again",
  );
  expect(lines(look({}, { at: { ...at, after: null } }))).not.toContain("VACUUM");
});

test("without an estimate, or with more rows than that, no share and no time is made up", () => {
  const { estimatedRows: _, ...unknown } = told;
  const one = look({}, told);
  const without: CopyLook = { ...one, copy: { ...(one.copy ?? expect.unreachable()), progress: unknown } };

  expect(lines(without)).toContain("\n  400 rows, 2 collections done, in public.orders, 20 rows/s\n");
  expect(copyBar(shop, without, {})).toBe("400 rows, 2 collections done, in public.orders");
  expect(lines(look({}, { rows: 1200 }))).toContain("\n  1200 rows, more than the estimated 1000, 2 collections done");
  expect(copyBar(shop, look({}, { rows: 1200 }), {})).toMatch(/^█{20} 1200 rows, more than/);
});

test.each<[string, CopyLook, RegExp]>([
  [
    "ordered with no worker",
    look({}, undefined, false),
    /: not begun\n.*\n {2}no worker reads shop now: it waits for one/,
  ],
  ["ordered", look({}), /: not begun\n.*\n {2}the worker that reads shop begins within seconds; else its log says why/],
  ["begun, and the worker gone", look({}, {}, false), /: copying\n[\s\S]*\n {2}no worker reads shop now/],
  [
    "paused",
    look({ state: "paused" }, {}),
    /: paused by ann@db1 at \S+; it goes on with: millrace backfill resume shop/,
  ],
  ["cancelled before it began", look({ state: "cancelled" }), /: cancelled by ann@db1 at \S+; what was copied stays/],
  ["ordered behind one that is over", look({ backfill: 4 }, { state: "completed" }), /^copy 4 of shop: not begun/],
  ["without its order", look(undefined, {}), /^copy 3 of shop: withdrawn: its order was taken away.*start shop/],
  ["completed", look({}, { state: "completed" }), /: completed\n.*\n {2}400 rows, 2 collections done\n/],
])("one that is %s says so", (_, one, text) => {
  expect(lines(one)).toMatch(text);
});

test("one that waits for a person says why and what to do, also in the line that is drawn", () => {
  const reason = { code: "BACKFILL_REFUSED", message: "public.log cannot be copied", hint: "give it a key" };
  const waiting = look({}, { state: "waiting", reason });

  expect(lines(waiting)).toMatch(/\n {2}BACKFILL_REFUSED: public.log cannot be copied\n {2}fix: give it a key$/);
  expect(copyBar(shop, waiting, {})).toMatch(/^█{8}░{12} waiting, 400 of about 1000 rows/);
  expect(lines(look({ state: "paused" }, { state: "waiting", reason }))).not.toContain("BACKFILL_REFUSED");
});

test("the line that is drawn begins with what is worth most", () => {
  expect(copyBar(shop, look({}, {}), { rowsPerSecond: 20, secondsLeft: 30 })).toBe(
    "████████░░░░░░░░░░░░ 400 of about 1000 rows (40 %), 20 rows/s, about 30 s left (an estimate), 2 collections done, in public.orders",
  );
  expect(copyBar(shop, look({}, {}, false), {})).toMatch(/^█+░+ no worker, 400 of about/);
  expect(copyBar(shop, look({ state: "paused" }, {}, false), {})).toMatch(/^█+░+ paused, 400 of about/);
  expect(copyBar(shop, look({}), {})).toBe("ordered, 0 rows");
});

test("what was left out is named while it goes on and at its end", () => {
  const leftOut = ["public.gone"];

  expect(lines(look({}, { leftOut }))).toMatch(/\n {2}left out: public.gone$/);
  expect(endLines(shop, look({}, { state: "completed", leftOut }))).toEqual([
    "copy 3 of shop is completed: 400 rows, 2 collections done",
    "  left out: public.gone",
  ]);
});

test("the pace is that of the last minute, or since the newest step where that is longer, and begins anew behind a pause", () => {
  const pace = new RecentPace();
  const seen = (ms: number, rows: number, state: Order["state"] = "running") =>
    pace.look(look({ state }, { rows }), ms);

  expect(seen(0, 0)).toEqual({});
  expect(seen(1000, 100)).toEqual({ rowsPerSecond: 100, secondsLeft: 9 });
  expect(seen(60_000, 600)).toEqual({ rowsPerSecond: 10, secondsLeft: 40 });
  expect(seen(201_000, 600)).toEqual({ rowsPerSecond: 2.5, secondsLeft: 160 }); // the step was from 100 to 600
  expect(seen(202_000, 600, "paused")).toEqual({});
  expect(seen(203_000, 600)).toEqual({});
  expect(seen(204_000, 650)).toEqual({ rowsPerSecond: 50, secondsLeft: 7 });
  const slow = look({ rate: 2 }, { rows: 999 }); // the batch that comes first, at once
  expect(pace.look(slow, 205_000)).toEqual({ rowsPerSecond: 2, secondsLeft: 0.5 });
});

test("of one that waits, or that no worker goes on with, no pace and no time is made up, for nobody knows when it ends", () => {
  const reason = { code: "BACKFILL_REFUSED", message: "public.log cannot be copied" };
  for (const one of [look({}, { state: "waiting", reason }), look({}, {}, false)]) {
    expect(lines(one)).toContain("\n  400 of about 1000 rows (40 %), 2 collections done, in public.orders\n");
    const pace = new RecentPace();
    expect([pace.look(one, 0), pace.look(one, 1000)]).toEqual([{}, {}]);
  }
});

test("what the configuration asked for has its names, also what waits behind it", () => {
  const initial = { collections: { "16384": "public.orders", "16390": "public.items" } };
  const one = look({ ids: ["16384"], initial, next: { ids: ["16390"] }, by: "the configuration" }, {});

  expect(lines(one)).toContain(
    "\n  asked for: public.orders; last by the configuration at 2026-01-02T03:00:00Z; behind it: public.items\n",
  );
});

test("one of hundreds of collections names some of them, and says that there are more", () => {
  const collections = Array.from({ length: 103 }, (_, n) => `public.t${n}`);
  const text = lines(look({ collections }, { asked: 103, leftOut: ["public.t1"], leftOutMore: true }));

  expect(text).toContain("public.t99 and 3 more; last by");
  expect(text).toContain("left out: public.t1 and more");
});
