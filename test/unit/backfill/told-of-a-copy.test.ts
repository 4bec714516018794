// What a copy tells of itself, with a scripted copier: its estimate, what it left out, and its end.

import { expect, test } from "vitest";
import { Backfill } from "../../../src/backfill/backfill.ts";
import type { Order } from "../../../src/backfill/order.ts";
import { type Clock, realClock } from "../../../src/clock.ts";
import { ConfigError, TransientError } from "../../../src/errors.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { CopyTarget, RowCopier } from "../../../src/source/capabilities.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { copiedRow, ordersRead } from "../../support/bus/copied-rows.ts";

type Told = Readonly<Record<string, unknown>>;

const running: Order = { backfill: 2, state: "running", by: "a test", at: "2026-01-02T03:04:05Z" };
const target = (collection: string): CopyTarget => ({ id: collection, namespace: "public", collection });

/** Of collections with one row each. */
function copier(names: () => readonly string[], more: Partial<RowCopier> = {}): RowCopier {
  return {
    targets: async () => names().map(target),
    readSlice: async () => ({
      ...{ rows: [copiedRow("1")], after: () => ({ id: "1" }), isLast: true },
      ...{ version: ordersRead.version, notBefore: new Map(), includes: () => true },
    }),
    ...more,
  };
}

/** Markers up to the one that ends the copy, or so many. */
async function markers(
  options: { readonly copier: RowCopier; readonly order: () => Promise<Order>; readonly clock?: Clock },
  after?: Told,
  most = 20,
): Promise<readonly Told[]> {
  const clock = { ...realClock, sleep: async () => {} };
  const common = { source: "shop" as SourceId, log: silentLogger, maxMessageBytes: 1_000_000, clock };
  const backfill = new Backfill({ ...common, ...options }, after);
  const ended = new AbortController();
  const told: Told[] = [];
  for await (const batch of backfill.read({ signal: ended.signal })) {
    batch.rows();
    told.push(batch.progress);
    if (batch.progress.state === "completed" || batch.progress.state === "cancelled" || told.length === most) break;
  }
  ended.abort();
  return told;
}

test("the first marker has the sum of what the collections that were asked for are estimated to hold", async () => {
  const sizes: Record<string, number> = { items: 30, orders: 1200, users: 5 };
  const estimate: RowCopier["estimate"] = async ({ collection }) => sizes[collection];
  const source = copier(() => Object.keys(sizes), { estimate });
  const order = async (): Promise<Order> => ({ ...running, collections: ["public.orders", "public.users"] });

  const [first, ...rest] = await markers({ copier: source, order });

  const collections = ["public.orders", "public.users"];
  expect(first).toMatchObject({ backfill: 2, state: "copying", rows: 0, done: 0, collections, estimatedRows: 1205 });
  expect(rest.at(-1)).toMatchObject({ state: "completed", rows: 2, done: 2, estimatedRows: 1205 });
});

test.each([
  ["nothing is known of one", async ({ collection }: CopyTarget) => (collection === "orders" ? 3 : undefined)],
  ["one cannot be asked for", async () => Promise.reject(new TransientError("DB_AWAY", "gone", { hint: "wait" }))],
])("where %s, the copy begins without an estimate", async (_, estimate) => {
  const source = copier(() => ["items", "orders"], { estimate });
  const [first] = await markers({ copier: source, order: async () => running }, undefined, 1);

  expect(first).toMatchObject({ state: "copying" });
  expect(first).not.toHaveProperty("estimatedRows");
});

test("`completed` names what was asked for and is not read when its turn comes, and nothing that was copied", async () => {
  let read = ["items", "orders", "users"];
  const source = copier(() => read);
  const collections = ["public.gone", "public.items", "public.orders", "public.users"];
  const order = async (): Promise<Order> => ({ ...running, collections });
  const readSlice: RowCopier["readSlice"] = (request) => {
    // Each is taken away while it is copied: items is done by then, orders is not.
    read = read.filter((name) => name !== request.target.collection);
    return source.readSlice(request).then((slice) => ({ ...slice, isLast: request.target.collection !== "orders" }));
  };

  const told = await markers({ copier: { ...source, readSlice }, order });

  expect(told.at(-1)).toMatchObject({ state: "completed", done: 2, leftOut: ["public.gone", "public.orders"] });
});

test("`completed` names what the configuration asked for by its id, and that is gone when its turn comes or half copied", async () => {
  let read = ["a", "b", "c", "d"];
  const source = copier(() => read);
  const ids = ["a", "b", "c", "d", "gone"];
  const initial = { collections: Object.fromEntries(ids.map((id) => [id, `public.${id}`])) };
  const order = async (): Promise<Order> => ({ ...running, ids, initial });
  const readSlice: RowCopier["readSlice"] = async (request) => {
    const { id } = request.target;
    read = read.filter((one) => one !== id && (id !== "b" || one !== "c"));
    return { ...(await source.readSlice(request)), isLast: id !== "b" };
  };

  const told = await markers({ copier: { ...source, readSlice }, order });

  const leftOut = ["public.b", "public.c", "public.gone"];
  expect(told.at(-1)).toMatchObject({ state: "completed", done: 2, leftOut });
});

test("no marker has more names than it has room for, of what was asked for and of what was left out", async () => {
  const names = Array.from({ length: 700 }, (_, n) => `a_name_as_long_as_they_come_${n}`).sort();
  const initial = { collections: Object.fromEntries(names.map((name) => [name, `public.${name}`])) };
  const order = async (): Promise<Order> => ({ ...running, ids: names, initial });
  const source = copier(() => [names.at(-1) as string]);

  const told = await markers({ copier: source, order });

  expect(told.map(({ asked, collections }) => [asked, collections])).toEqual(told.map(() => [700, undefined]));
  const { leftOut, ...last } = told.at(-1) as Told;
  expect(last).toMatchObject({ state: "completed", done: 1, leftOutMore: true });
  expect(leftOut).toEqual(names.slice(0, (leftOut as string[]).length).map((name) => `public.${name}`));
  expect(Math.max(...told.map((one) => JSON.stringify(one).length))).toBeLessThan(17 * 1024);
});

test("a place that says nothing of its collection any more begins it again, with other ids for rows that come twice", async () => {
  const source = copier(() => ["orders"]);
  const asked: (string | undefined)[] = [];
  const ids: string[] = [];
  const readSlice: RowCopier["readSlice"] = async (request) => {
    asked.push(request.after === undefined ? "the first row on" : "a place");
    const slice = await source.readSlice(request);
    const isVoid = asked.length === 2;
    return {
      ...slice,
      isLast: asked.length > 3,
      ...(isVoid && { rows: [], isLast: false, isVoid, version: undefined }),
    };
  };
  const clock = { ...realClock, sleep: async () => {} };
  const common = { source: "shop" as SourceId, log: silentLogger, maxMessageBytes: 1_000_000, clock };
  const backfill = new Backfill({ ...common, copier: { ...source, readSlice }, order: async () => running }, undefined);
  const places: unknown[] = [];
  for await (const batch of backfill.read({ signal: new AbortController().signal })) {
    for (const row of batch.rows()) ids.push(`${row.key} ${row.again}`);
    places.push(batch.progress.at);
    if (batch.progress.state === "completed") break;
  }

  expect(asked).toEqual(["the first row on", "a place", "the first row on", "a place"]);
  expect(places[2]).toEqual({ ...target("orders"), repeats: true });
  expect(ids).toEqual(["1 undefined", "1 1", "1 2"]);
});

test("a copy that was cancelled before it began is told as cancelled, once", async () => {
  const order = async (): Promise<Order> => ({ ...running, state: "cancelled" });
  const told = await markers({ copier: copier(() => ["orders"]), order }, { ...done, backfill: 1 });

  expect(told).toEqual([
    { backfill: 2, state: "cancelled", startedAt: expect.stringMatching(/^\d{4}-/), rows: 0, done: 0 },
  ]);
});

const done = { backfill: 2, state: "completed", startedAt: "2026-01-02T03:04:05Z", rows: 7, done: 1 };

test("a record that cannot be read does not open a copy again that is over", async () => {
  let looks = 0;
  const order = async (): Promise<Order> => {
    if (++looks < 6) throw new ConfigError("BACKFILL_ORDER_UNREADABLE", "newer", { hint: "upgrade" });
    return { ...running, backfill: 3 };
  };
  const [first] = await markers({ copier: copier(() => ["orders"]), order }, done, 1);

  expect(first).toMatchObject({ backfill: 3, state: "copying" });
});

test("another rate holds from the next batch on: the slice in hand is not waited for", async () => {
  let rate = 1;
  let slices = 0;
  const many = Array.from({ length: 1500 }, (_, n) => copiedRow(`${n}`));
  const source = copier(() => ["orders"]);
  const readSlice: RowCopier["readSlice"] = async (request) => {
    slices++;
    const slice = await source.readSlice(request);
    return { ...slice, rows: request.after === undefined ? many : many.slice(999), after: (id) => ({ id }) };
  };
  const order = async (): Promise<Order> => ({ ...running, rate: rate++ });

  const told = await markers({ copier: { ...source, readSlice }, order });

  expect(told.map(({ rows }) => rows)).toEqual([0, 999, 1500, 1500]);
  expect(slices).toBe(2);
});

/** Time that passes only where it is slept through, at once. */
function sleepingClock(): Clock {
  let now = 0;
  const sleep = async (ms: number): Promise<void> => {
    now += ms;
  };
  return { now: () => now, wall: () => now, sleep };
}

test("the rate holds also between collections of few rows", async () => {
  const clock = sleepingClock();
  const source = copier(() => ["items", "orders", "users"]);
  await markers({ copier: source, order: async () => ({ ...running, rate: 0.1 }), clock });

  expect(clock.now()).toBe(30_000);
});

test.each<[string, Partial<Order>, string]>([
  ["cancelled", { state: "cancelled" }, "cancelled"],
  ["made faster", { rate: 1000 }, "completed"],
])("a copy that is %s while it waits as its rate says does so within a second", async (_, change, end) => {
  const clock = sleepingClock();
  const many = Array.from({ length: 1500 }, (_, n) => copiedRow(`${n}`));
  const source = copier(() => ["orders"]);
  const readSlice: RowCopier["readSlice"] = async (request) => {
    const slice = await source.readSlice(request);
    return { ...slice, rows: request.after === undefined ? many : many.slice(999), after: (id) => ({ id }) };
  };
  const order = async (): Promise<Order> => ({ ...running, rate: 0.1, ...(clock.now() >= 5000 && change) });
  const told = await markers({ copier: { ...source, readSlice }, order, clock });

  expect(told.at(-1)).toMatchObject({ state: end });
  expect(clock.now()).toBeLessThanOrEqual(7000);
});

test("a copy that waits for a person obeys within a second, however long its tries are apart", async () => {
  const clock = sleepingClock();
  const readSlice: RowCopier["readSlice"] = async () => {
    throw new ConfigError("BACKFILL_REFUSED", "no key", { hint: "give it one" });
  };
  const order = async (): Promise<Order> => ({ ...running, state: clock.now() > 100_000 ? "cancelled" : "running" });
  const told = await markers({ copier: { ...copier(() => ["orders"]), readSlice }, order, clock });

  expect(told.map(({ state }) => state)).toEqual(["copying", "waiting", "cancelled"]);
  expect(told[1]).toMatchObject({ reason: { code: "BACKFILL_REFUSED", message: "no key", hint: "give it one" } });
  expect(clock.now()).toBeLessThanOrEqual(101_500);
});

test("a copy by ids neither leaves out nor repeats a collection that is renamed in the middle of it", async () => {
  const names: Record<string, string> = { "1": "orders", "2": "items", "3": "users" };
  const asked: string[] = [];
  const source: RowCopier = {
    targets: async () =>
      Object.entries(names)
        .map(([id, collection]) => ({ ...target(collection), id }))
        .toSorted((one, other) => (one.collection < other.collection ? -1 : 1)),
    readSlice: async (request) => {
      const { id } = request.target;
      asked.push(`${id} ${request.after === undefined ? "begins" : "goes on"}`);
      // Once in the first one, to what was copied by its new name and to what is yet to come by its old one.
      if (asked.length === 1) Object.assign(names, { "1": "zorders", "2": "aitems", "3": "orders" });
      const slice = await copier(() => []).readSlice(request);
      return { ...slice, isLast: asked.length > 1 };
    },
  };
  const order = async (): Promise<Order> => ({ ...running, ids: ["1", "2", "3"] });

  const told = await markers({ copier: source, order });

  expect(asked).toEqual(["1 begins", "1 goes on", "2 begins", "3 begins"]);
  expect(told.at(-1)).toMatchObject({ state: "completed", done: 3 });
  expect(told.at(-1)).not.toHaveProperty("leftOut");
});

test("a collection that is made anew under its name in the middle of its copy is copied from its beginning", async () => {
  const asked: string[] = [];
  let id = "1";
  const source: RowCopier = {
    targets: async () => [{ ...target("orders"), id }],
    readSlice: async (request) => {
      asked.push(`${request.target.id} ${request.after === undefined ? "begins" : "goes on"}`);
      id = "2";
      const slice = await copier(() => []).readSlice(request);
      return { ...slice, isLast: asked.length > 1 };
    },
  };

  const told = await markers({ copier: source, order: async () => running });

  expect(asked).toEqual(["1 begins", "2 begins"]);
  expect(told.at(-1)).toMatchObject({ state: "completed", done: 1 });
});

test("a collection that holds a copy up can be left out: the others are copied, and its end says so", async () => {
  const clock = sleepingClock();
  const source = copier(() => ["items", "log", "orders"]);
  const readSlice: RowCopier["readSlice"] = async (request) => {
    if (request.target.collection !== "log") return source.readSlice(request);
    throw new ConfigError("BACKFILL_REFUSED", "no key", { hint: "give it one" });
  };
  // What is done already was not left out.
  const without = ["public.items", "public.log"];
  const order = async (): Promise<Order> => ({ ...running, ...(clock.now() > 60_000 && { without }) });
  const told = await markers({ copier: { ...source, readSlice }, order, clock });

  expect(told.at(-1)).toMatchObject({ state: "completed", rows: 2, done: 2, leftOut: ["public.log"] });
  expect(told.at(-1)).not.toHaveProperty("reason");
  expect(clock.now()).toBeLessThan(63_000);
});

test("a pause outlives the worker: the next one copies nothing until somebody resumes it", async () => {
  const clock = sleepingClock();
  const stored = { ...done, state: "copying", rows: 3 };
  let looks = 0;
  const order = async (): Promise<Order> => {
    looks++;
    return { ...running, state: clock.now() < 3_600_000 ? "paused" : "running" };
  };
  const [first] = await markers({ copier: copier(() => ["orders"]), order, clock }, stored, 1);

  expect(first).toMatchObject({ backfill: 2, state: "copying", rows: 4 });
  expect(looks).toBeGreaterThan(3600);
});

test("the moment of a collection without a key is told before its rows, and kept until its end; what is held is given back then", async () => {
  const asOf = { snapshot: "10:20:", time: "2026-01-02T03:04:05.000006Z" };
  const rested: string[] = [];
  const source = copier(() => ["orders"], {
    readSlice: async ({ after }) => ({
      ...{
        rows: after === undefined ? [] : [copiedRow("1")],
        after: () => ({ ctid: "(0,1)" }),
        passed: { asOf: "10:20:" },
      },
      ...{ isLast: after !== undefined, asOf, version: ordersRead.version, notBefore: new Map(), includes: () => true },
    }),
    rest: async () => void rested.push("given back"),
  });
  let looks = 0;
  const order = async (): Promise<Order> => (++looks === 1 ? { ...running, state: "paused" } : running);

  const told = await markers({ copier: source, order });

  expect(rested).toEqual(["given back"]); // while it rested
  expect(told.map(({ rows, at }) => [rows, at && { ...(at as object) }])).toMatchObject([
    ...[
      [0, undefined],
      [0, { after: { asOf: "10:20:" }, asOf }],
      [1, { after: null, asOf }],
      [1, { after: null, asOf }],
    ],
  ]);
});
