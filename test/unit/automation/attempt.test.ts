// What a handler is given, how its end is told, and that a timeout is kept by one timer for all.

import { expect, test } from "vitest";
import { automation, type Handler, type HandlerContext } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { type AttemptResult, startAttempt } from "../../../src/automation/deliver/attempt.ts";
import { Deadlines } from "../../../src/automation/deliver/deadlines.ts";
import type { ChangeEvent } from "../../../src/event/change-event.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { Counts } from "../../support/automations.ts";
import { waitFor } from "../../support/wait-for.ts";

const on = collection<{ id: number }>("shop", "public.orders").created();
const event = { id: "shop.1" } as ChangeEvent;

function start(handler: Handler, timeoutMs = 60_000): AttemptResult | Promise<AttemptResult> {
  const defined = automation("a", { on, timeout: timeoutMs }, handler);
  const context = {
    ...{ automation: defined, deadlines: new Deadlines(timeoutMs), log: silentLogger, database: undefined },
    ...{ logErrors: "name" as const, metrics: new Counts() },
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

  expect(seen).toMatchObject({ event, attempt: 2 });
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

  const result = await start(hangs, 5);

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

  expect(start(blocks, 5)).toMatchObject({ type: "failed", error: { code: "AUTOMATION_TIMEOUT" } });
});

test("of many deadlines those that are not ended pass, in their order, each once and not too early", async () => {
  const deadlines = new Deadlines(20);
  const passed: number[] = [];
  const begin = (n: number): (() => void) => {
    const beganMs = performance.now();
    const deadline = deadlines.begin(() => {
      expect(performance.now() - beganMs).toBeGreaterThanOrEqual(20);
      passed.push(n);
    });
    return () => deadlines.end(deadline);
  };
  const ends = [1, 2, 3].map(begin);
  ends[1]?.();
  await waitFor(() => passed.length === 2, { what: "the first ones" });
  begin(4);
  await waitFor(() => passed.length === 3, { what: "a later one" });

  expect(passed).toEqual([1, 3, 4]);
});

test("one that ends behind its timeout has failed, also where the process was too busy to notice before", async () => {
  const result = await start(async () => {
    await Promise.resolve();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
  }, 50);

  expect(result).toMatchObject({ type: "failed", error: { code: "AUTOMATION_TIMEOUT" } });
});
