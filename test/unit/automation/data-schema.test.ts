// Events whose data is held to a schema of the user's own.

import { expect, test } from "vitest";
import { z } from "zod";
import { type Automation, automation } from "../../../src/automation/define/automation.ts";
import { ColumnTypes } from "../../../src/automation/deliver/column-types.ts";
import { readEvent } from "../../../src/automation/deliver/read-event.ts";
import { memoryStore } from "../../../src/bus/memory/memory-server.ts";
import type { Delivery } from "../../../src/bus/subscription.ts";
import { realClock } from "../../../src/clock.ts";
import { BugError, PoisonError } from "../../../src/errors.ts";
import { event, manual, type StandardSchema } from "../../../src/index.ts";
import { emitted, given } from "../../../src/testing.ts";

const HEADERS: Readonly<Record<string, string>> = {
  ...{ "ce-specversion": "1.0", "ce-id": "e1", "ce-type": "order.placed", "ce-time": "2026-11-29T00:00:00Z" },
  ...{ "ce-subject": "order/1", "Cdc-Pos": "0001.0000000000000001.0000000000000001.r000001" },
};

const read = async (of: Automation, data: unknown, subject = "events.shop.order.placed.p03"): Promise<unknown> =>
  readEvent(
    {
      subject,
      sequence: 1,
      header: (name: string) => HEADERS[name],
      headers: () => HEADERS,
      data: Buffer.from(JSON.stringify(data)),
    } as unknown as Delivery,
    {
      automation: of,
      bus: {
        fetchBody: () => Promise.reject(new BugError("X", "no body is kept apart")),
        read: () => Promise.reject(new BugError("X", "nothing is read back")),
      },
      persist: (operation) => operation(),
      clock: realClock,
      columnTypes: new ColumnTypes({ schemas: memoryStore() }),
    },
  );

const order = z.object({ lines: z.array(z.object({ qty: z.coerce.number() })), at: z.string().optional() });
const own = (validate: StandardSchema<{ n: number }>["~standard"]["validate"]): StandardSchema<{ n: number }> => ({
  "~standard": { version: 1, vendor: "own", validate },
});

test("the handler gets what the schema makes of the data, and where goes by that", async () => {
  const placed = automation(
    "a",
    { on: event("order.placed", order), where: { data: { lines: { qty: [{ numeric: [">", 1] }] } } } },
    ({ event: { data } }) => {
      const quantities: readonly number[] = data.lines.map(({ qty }) => qty);
      return void quantities;
    },
  );

  expect(await read(placed, { lines: [{ qty: "2" }] })).toMatchObject({ data: { lines: [{ qty: 2 }] } });
  expect(await read(placed, { lines: [{ qty: "1" }] })).toBeUndefined();
});

test("data that does not fit is poison that names where, and no value", async () => {
  const placed = automation("a", { on: event("order.placed", order) }, () => {});
  const found = await read(placed, { lines: [{ qty: 1 }, { qty: "secret-value" }], at: 7 });

  expect(found).toBeInstanceOf(PoisonError);
  expect(found).toMatchObject({ code: "EVENT_DATA_UNFIT", message: expect.stringMatching(/at lines\[1\]\.qty, at$/) });
  expect(String(found)).not.toContain("secret-value");
  expect(await read(placed, "no object")).toMatchObject({ message: expect.stringMatching(/at the top$/) });
});

test("a schema may take its time, and one that throws is poison too", async () => {
  const on = (schema: StandardSchema<{ n: number }>) =>
    automation("a", { on: event("order.placed", schema) }, () => {});

  expect(await read(on(own(async () => ({ value: { n: 1 } }))), {})).toMatchObject({ data: { n: 1 } });
  const issues = [{ message: "secret", path: [{ key: "a" }, "b", 0] }];
  expect(await read(on(own(async () => ({ issues }))), {})).toMatchObject({
    message: expect.stringMatching(/at a\.b\[0\]$/),
  });
  const thrown = (): never => {
    throw new RangeError("secret");
  };
  for (const validate of [thrown, async () => thrown()]) {
    const found = await read(on(own(validate)), {});
    expect(found).toMatchObject({
      code: "EVENT_DATA_UNFIT",
      message: "the trigger's schema threw RangeError at its data",
    });
  }
});

test("a manual trigger takes what is sent to its own automation alone", async () => {
  const mine = automation("mine", { on: manual(z.object({ n: z.number() })) }, () => {});

  expect(mine.triggers[0]?.subscriptions({ outboxes: [] })).toEqual([
    { source: "_system", filter: "events._manual.mine.triggered.*" },
  ]);
  expect(await read(mine, { n: 1 }, "events._manual.mine.triggered.p01")).toMatchObject({ data: { n: 1 } });
  expect(await read(mine, { n: "1" }, "events._manual.mine.triggered.p01")).toMatchObject({ code: "EVENT_DATA_UNFIT" });
  expect(await read(mine, { n: 1 }, "events._manual.other.triggered.p01")).toBeUndefined();
});

test("what is no Standard Schema is refused where the trigger is written", () => {
  for (const make of [() => manual({} as never), () => event("order.placed", null as never)])
    expect(make).toThrow(
      expect.objectContaining({ code: "AUTOMATION_INVALID", message: expect.stringContaining("no Standard Schema") }),
    );
  const wrong = (): void => {
    // @ts-expect-error the schema's output has no such member
    automation("a", { on: manual(order) }, ({ event: { data } }) => void data.total);
    // @ts-expect-error nothing is known of the data
    automation("a", { on: manual() }, ({ event: { data } }) => void data.total);
    // @ts-expect-error no such member of the schema's output
    automation("a", { on: event("order.placed", order), where: { data: { total: [1] } } }, () => {});
  };
  expect(wrong).toBeTypeOf("function");
});

test("a schema that never ends fails each attempt at the timeout, and the event is a dead letter in the end", async () => {
  const never = own(() => new Promise<never>(() => {}));
  const slow = automation(
    "slow",
    { on: event("order.placed", never), timeout: "5s", retry: { attempts: 2 } },
    () => {},
  );
  const r = await given([emitted("order.placed", { key: "1", data: { n: 1 } })]).when(slow);

  expect(r.deadLetters).toMatchObject([{ reason: "exhausted", attempts: 2, error: { code: "EVENT_SCHEMA_SLOW" } }]);
});
