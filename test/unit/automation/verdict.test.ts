// When an attempt may begin, and what follows a failed one.

import { expect, test } from "vitest";
import type { Attempts } from "../../../src/automation/deliver/attempts.ts";
import {
  afterFailure,
  agesFrom,
  awayDelayMs,
  bornAt,
  deadBefore,
  isSuspect,
} from "../../../src/automation/deliver/verdict.ts";
import { Fatal, Retry } from "../../../src/automation/outcome/outcome.ts";
import { retryPolicy } from "../../../src/automation/outcome/retry-policy.ts";
import { isUnavailable, txFailure } from "../../../src/automation/outcome/unavailable.ts";
import { ConfigError, TransientError } from "../../../src/errors.ts";

const policy = retryPolicy({ attempts: 3, min: "2s", max: "8s", maxAge: "1h" });
const hour = 3_600_000;
const known = (more: Partial<Attempts>): Attempts => ({
  id: "shop.1",
  attempts: 1,
  firstAt: 0,
  lastError: { name: "Error", message: "no", code: undefined },
  ...more,
});

test("a first delivery may begin", () => {
  expect(deadBefore(policy, undefined, 0)).toBeUndefined();
});

test("an event whose handler was begun and never heard of is a suspect after two ends of its process, and dead after three more", () => {
  const begun = (unexplained: number): Attempts => known({ attempts: 0, unexplained });
  expect([undefined, begun(1), begun(2), begun(4)].map(isSuspect)).toEqual([false, false, true, true]);
  expect([begun(1), begun(4), begun(5)].map((one) => deadBefore(policy, one, 0))).toEqual([
    undefined,
    undefined,
    "crashed",
  ]);
});

test("the note of a start is no attempt: maxAge does not run from it", () => {
  expect(deadBefore(policy, known({ attempts: 0, unexplained: 1 }), 2 * hour)).toBeUndefined();
});

test("what was decided before a crash stays decided", () => {
  expect(deadBefore(policy, known({ dead: "fatal" }), 0)).toBe("fatal");
});

test("an event with all its attempts behind it gets no more, also when the policy was lowered since", () => {
  expect(deadBefore(policy, known({ attempts: 3 }), 0)).toBe("exhausted");
  expect(deadBefore(retryPolicy({ attempts: 1 }), known({ attempts: 2 }), 0)).toBe("exhausted");
});

test("no attempt begins after maxAge, counted from the first one", () => {
  expect(deadBefore(policy, known({}), hour)).toBeUndefined();
  expect(deadBefore(policy, known({}), hour + 1)).toBe("expired");
});

test("a failure before the last attempt is tried again within the policy's bounds", () => {
  const next = afterFailure(policy, 1, 0, new Error("no"), 0);
  expect(next).toEqual({ delayMs: expect.any(Number) });
  expect(next.dead === undefined && next.delayMs >= 2000 && next.delayMs <= 4000).toBe(true);
});

test("the last attempt's failure is the end", () => {
  expect(afterFailure(policy, 3, 0, new Error("no"), 0)).toEqual({ dead: "exhausted" });
  expect(afterFailure(policy, 3, 0, new Retry({ after: "1s" }), 0)).toEqual({ dead: "exhausted" });
});

test("Fatal is the end at once, Retry has its own delay", () => {
  expect(afterFailure(policy, 1, 0, new Fatal("no"), 0)).toEqual({ dead: "fatal" });
  expect(afterFailure(policy, 1, 0, new Retry({ after: "30s" }), 0)).toEqual({ delayMs: 30_000 });
});

test("a retry that would begin after maxAge is not waited for", () => {
  expect(afterFailure(policy, 1, 0, new Retry({ after: "1m" }), hour - 1000)).toEqual({ dead: "expired" });
});

test("while something is away the pauses grow to five seconds, or are the handler's own, until the event is too old", () => {
  const away = new TransientError("TX_UNREACHABLE", "refused");
  const delay = (tries: number): number => awayDelayMs(policy, tries, 0, away, 0) ?? 0;

  expect(delay(1)).toBeLessThanOrEqual(500);
  expect(delay(5)).toBeGreaterThanOrEqual(2500);
  expect(delay(9)).toBeLessThanOrEqual(5000);
  expect(awayDelayMs(policy, 1, 0, new Retry({ after: "30s", unavailable: true }), 0)).toBe(30_000);
  expect(awayDelayMs(policy, 1, 0, away, hour)).toBeUndefined();
});

const pg = (code: string): Error => Object.assign(new Error("from the server"), { code });
const socket = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });

test.each([
  ["it cannot be connected to", "entering", socket, false, "TX_UNREACHABLE"],
  ["it is read-only", "entering", pg("25006"), false, "TX_UNREACHABLE"],
  ["it has no connection left", "entering", pg("53300"), false, "TX_UNREACHABLE"],
  ["it starts up", "entering", pg("57P03"), false, "TX_UNREACHABLE"],
  ["it takes the inbox entry for bytes", "entering", pg("22021"), false, "22021"],
  ["it waits for a lock", "entering", pg("55P03"), false, "55P03"],
  ["its disk is full", "working", pg("53100"), false, "TX_UNREACHABLE"],
  [
    "it is shut down in the work",
    "working",
    new Error("Failed query", { cause: pg("57P01") }),
    true,
    "TX_CONNECTION_LOST",
  ],
  ["the work is cut off", "working", new Error("Connection terminated unexpectedly"), true, "TX_CONNECTION_LOST"],
  ["the work cannot reach something else", "working", socket, false, "ECONNREFUSED"],
  ["the work makes its own transaction read-only", "working", pg("25006"), false, "25006"],
  ["the work breaks a rule", "working", pg("23505"), false, "23505"],
  ["the commit gets no answer", "committing", new Error("Connection terminated"), false, "TX_UNREACHABLE"],
  ["the commit breaks a deferred rule", "committing", pg("23503"), false, "23503"],
  ["its set-up lacks something", "entering", new ConfigError("TX_WITHOUT_INBOX", "none"), false, "TX_WITHOUT_INBOX"],
] as const)(
  "of a tx() that failed since %s, the event's own faults spend an attempt",
  (_, phase, thrown, lost, code) => {
    const failure = txFailure(thrown, phase, lost) as { readonly code: string };

    expect(failure.code).toBe(code);
    expect(isUnavailable(failure)).toBe(code.startsWith("TX_"));
  },
);

test("where its age counts from the commit, an event may be too old before its first attempt, and a replay of it is not", () => {
  const late = retryPolicy({ maxAge: "1h", maxAgeFrom: "commit" });
  const header = (name: string) => (name === "ce-time" ? "1970-01-01T02:00:00.000000Z" : undefined);
  const born = bornAt(late, { header });

  expect(born).toBe(2 * hour);
  expect(deadBefore(late, undefined, 3 * hour, born)).toBeUndefined();
  expect(deadBefore(late, undefined, 3 * hour + 1, born)).toBe("expired");
  expect(agesFrom(late, { header }, 5 * hour)).toBe(2 * hour);
  expect(bornAt(late, { header, run: "r1" })).toBeUndefined();
  expect(agesFrom(late, { header, run: "r1" }, 5 * hour)).toBe(5 * hour);
  expect(bornAt(policy, { header })).toBeUndefined();
  expect(bornAt(late, { header: () => undefined })).toBeUndefined();
});
