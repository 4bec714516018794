// Handlers that throw what is no error, or return what only looks like a promise: a failed attempt each, and no more than that.

import { describe, expect, test } from "vitest";
import { automation, type Handler } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { type AttemptResult, startAttempt } from "../../../src/automation/deliver/attempt.ts";
import { Deadlines } from "../../../src/automation/deliver/deadlines.ts";
import { afterFailure } from "../../../src/automation/deliver/verdict.ts";
import { errorFields, summarizeError, wholeError } from "../../../src/automation/outcome/error-summary.ts";
import { Fatal, Retry } from "../../../src/automation/outcome/outcome.ts";
import { causesOf } from "../../../src/automation/outcome/readable.ts";
import { isUnavailable, sqlStateOf, txFailure } from "../../../src/automation/outcome/unavailable.ts";
import { runAutomations } from "../../../src/automation/run/run-automations.ts";
import { controlError } from "../../../src/automation/tx/transaction-control.ts";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { Counts, onOrder } from "../../support/automations.ts";
import { transaction } from "../../support/postgres/transactions.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import { waitFor } from "../../support/wait-for.ts";

const boo = (): never => {
  throw new Error("boo");
};
const withGetter = (of: object, member: string): object => Object.defineProperty(of, member, { get: boo });
const withMember = (of: object, member: string, value: unknown): object => Object.defineProperty(of, member, { value });
const thenable = (then: unknown, of: object = {}): object => withMember(of, "then", then);
const itself = Object.assign(new Error("its own cause"), { cause: undefined as unknown });
itself.cause = itself;
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const unreadable = "what was thrown cannot be read: its own code throws";

/** What is thrown, and the message that is kept of it. */
const thrown: readonly (readonly [string, unknown, string])[] = [
  ["undefined", undefined, "undefined"],
  ["null", null, "null"],
  ["a text", "no", "no"],
  ["a bigint", 10n, "10"],
  ["a symbol", Symbol("no"), "Symbol(no)"],
  ["a function", boo, String(boo)],
  ["an object with a message", { message: "no", code: 5 }, "no"],
  ["an object without one, whose values may be a row", { row: "secret" }, "an object with row was thrown"],
  ["an object without a prototype", Object.create(null), "an object without members was thrown"],
  ["an object that is no text", { toString: boo }, "an object with toString was thrown"],
  ["a revoked proxy", revoked.proxy, unreadable],
  ["an error whose message throws", withGetter(new Error("e"), "message"), unreadable],
  ["an error whose code throws", withGetter(new Error("e"), "code"), unreadable],
  ["an error whose stack throws", withGetter(new Error("e"), "stack"), unreadable],
  ["an error whose cause throws", withGetter(new Error("e"), "cause"), unreadable],
  [
    "an error whose message is an object",
    Object.assign(new Error("e"), { message: { row: "secret" } }),
    "an object without members",
  ],
  ["an error whose stack is none", Object.assign(new Error("e"), { stack: 7 }), "e"],
  ["an error that is its own cause", itself, "its own cause"],
  ["an error of a cause without a prototype", new Error("e", { cause: Object.create(null) }), "e"],
  ["an error of many that are none", Object.assign(new AggregateError([]), { errors: [Object.create(null)] }), ""],
];

function attempt(handler: Handler): AttemptResult | Promise<AttemptResult> {
  const clock = new VirtualClock();
  const on = collection<{ id: number }>("shop", "public.orders").created();
  const context = {
    ...{ automation: automation("a", { on }, handler), clock, log: silentLogger, database: undefined },
    ...{ deadlines: new Deadlines(60_000, clock, new AbortController().signal) },
    ...{ logErrors: "name" as const, metrics: new Counts(), bus: { receive: async () => ({ stored: true }) as const } },
  };
  return startAttempt(context, { id: "1" } as never, 1, { subject: "s.p00", header: () => undefined });
}

describe("a handler that throws", () => {
  test.each(thrown)("%s has failed, and what is kept of it is text", async (_, value, message) => {
    const results = [
      attempt(() => {
        throw value;
      }),
      await attempt(() => Promise.reject(value)),
    ];
    for (const result of results) {
      if (!("type" in result) || result.type !== "failed") expect.unreachable("it has not failed");
      const { error } = result;
      const summary = summarizeError(error);
      expect(isUnavailable(error)).toBe(false);
      expect(
        afterFailure(
          { attempts: 3, minMs: 1, maxMs: 2, maxAgeMs: 9e9, maxAgeFrom: "first-attempt" as const },
          1,
          0,
          error,
          0,
        ),
      ).toHaveProperty("delayMs");
      expect(summary).toMatchObject({ name: expect.any(String), message: expect.stringContaining(message) });
      expect(JSON.stringify([summary, errorFields(summary, "whole")])).not.toContain("secret");
      expect(wholeError(error)).toEqual(expect.any(String));
    }
  });

  test("Retry or Fatal is understood, also of another copy of this package", () => {
    for (const value of [new Retry({ after: 5 }), new Fatal("never")]) {
      const result = attempt(() => {
        throw value;
      });
      expect(result).toEqual({ type: "failed", error: value });
    }
  });

  test("an error that is its own cause fails its tx() by what it is", () => {
    expect([sqlStateOf(itself), controlError(itself)]).toEqual([undefined, undefined]);
    expect(txFailure(itself, "working", false)).toBe(itself);
    expect(txFailure(itself, "entering", false)).toMatchObject({ code: "TX_UNREACHABLE" });
    expect([...causesOf(itself)].length).toBeLessThan(20);
  });

  test("any of it leaves its automation at work, and a dead letter that says something", async () => {
    const time = new VirtualTime();
    const { clock } = time;
    const server = new MemoryServer(clock);
    await using bus = new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
    const source = "shop" as SourceId;
    await using writer = await bus.stream(source).openWriter(new AbortController().signal);
    await writer.write(thrown.flatMap((_, n) => transaction(source, 10 * (n + 1))));
    let nth = 0;
    const metrics = new Counts();
    const stopping = new AbortController();
    const running = runAutomations({
      ...{ bus, clock, metrics, log: silentLogger, logEvents: false, logErrors: "message", signal: stopping.signal },
      automations: [
        onOrder(
          "odd",
          () => {
            throw thrown[nth++]?.[1];
          },
          { concurrency: 1, retry: { attempts: 1 } },
        ),
      ],
    });
    await time.when(
      waitFor(() => metrics.counts["odd.exhausted"] === thrown.length, {
        what: "all letters",
        clock,
        timeoutMs: 60_000,
      }),
    );

    expect(running.status()[0]).toMatchObject({ state: "running" });
    const letters = server.streams.get("MILLRACE_DEAD")?.messages ?? [];
    const messages = letters.map(({ data }) => JSON.parse(Buffer.from(data).toString()).error.message as string);
    expect(messages).toEqual(thrown.map(([, , message]) => expect.stringContaining(message)));
    stopping.abort();
    await time.when(running.settled);
  });
});

describe("a handler that returns", () => {
  const returned: readonly (readonly [string, unknown, AttemptResult["type"]])[] = [
    ["what has a then that cannot be read", withGetter({}, "then"), "failed"],
    ["what has a then that throws", thenable(boo), "failed"],
    ["what says both, done first", thenable((a: () => void, b: () => void) => [a(), b()]), "done"],
    [
      "a query builder, a function with a then",
      thenable(
        (go: () => void) => go(),
        () => {},
      ),
      "done",
    ],
    [
      "one that fails",
      thenable(
        (_: unknown, no: (e: unknown) => void) => no(null),
        () => {},
      ),
      "failed",
    ],
    ["a revoked proxy", revoked.proxy, "failed"],
    ["a number", 4, "done"],
  ];
  test.each(thrown)("skip() with %s as its reason has skipped, with a text", (_, reason, message) => {
    const result = attempt(({ skip }) => skip(reason as string));

    expect(result).toEqual({ type: "skipped", reason: expect.stringContaining(message) });
  });

  test.each(returned)("%s: %#", async (_, value, type) => {
    expect((await attempt(() => value as never)).type).toBe(type);
  });
});
