// What a handler is given, how its end is told, and that a timeout is kept by one timer for all.

import { expect, test } from "vitest";
import {
  automation,
  type Filter,
  type Handler,
  type HandlerContext,
} from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { effectsOf } from "../../../src/automation/define/effects.ts";
import { type AttemptResult, startAttempt } from "../../../src/automation/deliver/attempt.ts";
import { Deadlines } from "../../../src/automation/deliver/deadlines.ts";
import { type Clock, realClock } from "../../../src/clock.ts";
import type { ChangeEvent } from "../../../src/event/change-event.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { Counts } from "../../support/automations.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const on = collection<{ id: number }>("shop", "public.orders").created();
const never = new AbortController().signal;
const event = { id: "shop.1" } as ChangeEvent;

function start(
  handler: Handler,
  timeoutMs = 60_000,
  clock: Clock = new VirtualClock(),
  filter?: Filter<unknown>,
): AttemptResult | Promise<AttemptResult> {
  const defined = automation("a", { on, timeout: timeoutMs, ...(filter && { filter }) }, handler);
  const context = {
    ...{ automation: defined, clock, deadlines: new Deadlines(timeoutMs, clock, never) },
    ...{ log: silentLogger, database: undefined },
    ...{ logErrors: "name" as const, metrics: new Counts(), bus: { receive: async () => ({ stored: true }) as const } },
  };
  return startAttempt(context, event, 2, { subject: "cdc.shop.public.orders.created.p00", header: () => undefined });
}

test("a handler that returns or throws without a promise has ended at once", () => {
  const error = new Error("no");

  expect(start(() => {})).toEqual({ type: "done" });
  expect(start(({ skip }) => skip("why"))).toEqual({ type: "skipped", reason: "why" });
  expect(
    start(() => {
      throw error;
    }),
  ).toEqual({ type: "failed", error });
});

test("one that returns a promise ends with it, also where retry or fatal are returned instead of thrown", async () => {
  const error = new Error("no");

  expect(await start(async ({ skip }) => skip("why"))).toEqual({ type: "skipped", reason: "why" });
  expect(await start(() => Promise.reject(error))).toEqual({ type: "failed", error });
  expect(await start(async ({ fatal }) => fatal("why") as never)).toMatchObject({ type: "failed" });
});

test("a wrapper may spread the context and hand it on", () => {
  let seen: HandlerContext | undefined;
  void start((context) => {
    seen = { ...context };
  });

  expect(seen).toMatchObject({ event, attempt: 2, tx: expect.any(Function) });
  expect(seen && effectsOf(seen)).toEqual({ publish: expect.any(Function), send: expect.any(Function) });
  expect(seen?.signal.aborted).toBe(false);
  seen?.log.info("said");
});

test("at the timeout it has failed, its signal aborts whenever it is looked at, and its real end is told", async () => {
  let end: () => void = () => {};
  let context: HandlerContext | undefined;
  const hangs: Handler = (given) => {
    context = given;
    return new Promise<void>((resolve) => {
      end = resolve;
    });
  };

  const clock = new VirtualClock();
  const started = start(hangs, 5, clock);
  await clock.pass(5);
  const result = await started;

  expect(result).toMatchObject({ type: "failed", error: { code: "AUTOMATION_TIMEOUT" } });
  expect(context?.signal.reason).toMatchObject({ code: "AUTOMATION_TIMEOUT" });
  const { hanging } = result as Extract<AttemptResult, { type: "failed" }>;
  expect(await Promise.race([hanging?.then(() => "ended"), Promise.resolve("hangs")])).toBe("hangs");
  end();
  await hanging;
});

test("one without a promise that held the process for longer than its timeout has failed too, whatever it returns", () => {
  const blocks: Handler = ({ skip }) => {
    const until = performance.now() + 5;
    while (performance.now() < until);
    return skip("late");
  };

  expect(start(blocks, 5, realClock)).toMatchObject({ type: "failed", error: { code: "AUTOMATION_TIMEOUT" } });
});

test("of many deadlines those that are not ended pass, in their order, each once and not too early", async () => {
  const clock = new VirtualClock();
  const deadlines = new Deadlines(20, clock, never);
  const passed: string[] = [];
  const begin = (name: string): (() => boolean) => {
    const deadline = deadlines.begin(() => passed.push(`${name} at ${clock.now()}`));
    return () => deadlines.end(deadline);
  };
  const ends = ["a", "b"].map(begin);
  await clock.pass(7);
  ends.push(begin("c"));
  expect(ends[1]?.()).toBe(false);
  await clock.pass(100);
  begin("d");
  await clock.pass(19);
  expect(passed).toEqual(["a at 20", "c at 27"]);
  await clock.pass(1);

  expect(passed).toEqual(["a at 20", "c at 27", "d at 127"]);
});

test("once its automation has drained no deadline passes, and nothing is waited for", async () => {
  const [clock, drained, passed] = [new VirtualClock(), new AbortController(), [] as string[]];
  const deadlines = new Deadlines(20, clock, drained.signal);
  deadlines.begin(() => passed.push("a"));

  drained.abort();
  await clock.pass(100);

  expect([passed, clock.sleepers]).toEqual([[], 0]);
});

test("one that ends behind its timeout has failed, also where the process was too busy to notice before", async () => {
  const result = await start(
    async () => {
      await Promise.resolve();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
    },
    50,
    realClock,
  );

  expect(result).toMatchObject({ type: "failed", error: { code: "AUTOMATION_TIMEOUT" } });
});

test("a filter says whether the handler starts: at once, or once it knows", async () => {
  const seen: unknown[] = [];
  const handler = (): void => void seen.push("handler");
  const filtered = (filter: Filter<unknown>) => start(handler, 60_000, new VirtualClock(), filter);

  expect(filtered(({ event: given }) => given === event)).toEqual({ type: "done" });
  expect(filtered(() => false)).toEqual({ type: "filtered" });
  expect(await filtered(async () => true)).toEqual({ type: "done" });
  expect(await filtered(async () => false)).toEqual({ type: "filtered" });
  expect(seen).toEqual(["handler", "handler"]);
});

test("a filter that throws, or says neither yes nor no, is a failed attempt and starts no handler", async () => {
  const error = new Error("no");
  const handler = (): never => {
    throw new Error("the handler was started");
  };
  const filtered = (filter: () => unknown) =>
    start(handler, 60_000, new VirtualClock(), filter as unknown as Filter<unknown>);

  expect(
    filtered(() => {
      throw error;
    }),
  ).toEqual({ type: "failed", error });
  expect(await filtered(() => Promise.reject(error))).toEqual({ type: "failed", error });
  expect(filtered(() => undefined)).toMatchObject({ type: "failed", error: { message: /gave undefined/ } });
  expect(await filtered(async () => "yes")).toMatchObject({ type: "failed", error: { message: /gave string/ } });
});

test("a filter that is not done by the timeout is a failed attempt, and starts no handler behind it", async () => {
  const clock = new VirtualClock();
  let say: (yes: boolean) => void = () => {};
  const starts: string[] = [];
  const filter = () =>
    new Promise<boolean>((resolve) => {
      say = resolve;
    });
  const attempt = start(() => void starts.push("started"), 1000, clock, filter);
  clock.advance(1000);
  const result = await attempt;

  expect(result).toMatchObject({ type: "failed", error: { code: "AUTOMATION_TIMEOUT" } });
  say(true);
  await (result as { hanging?: Promise<void> }).hanging;
  expect(starts).toEqual([]);
});
