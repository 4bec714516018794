// The test kit: what it says of automations, whose events it delivers by the code that a worker runs.

import { describe, expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { event } from "../../../src/automation/define/event-trigger.ts";
import { system } from "../../../src/automation/define/system.ts";
import { emitted, emptied, given, told, VirtualClock } from "../../../src/testing.ts";

interface Order {
  readonly id: number;
  readonly status: "pending" | "paid" | "sent";
  readonly total: string;
  readonly note: string | null;
}
const orders = collection<Order, { id: number }, "note">("shop", "public.orders");
const lines = collection<{ order_id: number; line: number; count: number }>("shop", "public.lines");
const paid = orders.row({ id: 1, status: "pending" }).updatedTo({ status: "paid" });

const receipt = automation(
  "order-receipt",
  { on: orders.updated() },
  async ({ event: { after, key, id }, tx, log, skip }) => {
    if (after.status !== "paid") return skip("not paid");
    await tx(async ({ client, emit }) => {
      await client.query("insert into receipts(order_id) values ($1)", [after.id]);
      await emit("receipt.created", { key: key.id, data: { orderId: key.id }, headers: { tenant: "a" } });
    });
    log.info("written", { about: id });
  },
);

describe("given rows, when an automation,", () => {
  test("then what its tx emits and the statements that it runs are told, with its outcome and its log", async () => {
    await given([paid])
      .when(receipt)
      .then((r) => {
        expect(r.emitted).toMatchObject([
          {
            type: "receipt.created",
            key: "1",
            data: { orderId: 1 },
            headers: { tenant: "a" },
            automation: "order-receipt",
          },
        ]);
        expect(r.statements).toEqual([{ text: "insert into receipts(order_id) values ($1)", values: [1] }]);
        expect(r.outcomes).toEqual([
          { automation: "order-receipt", event: r.emitted[0]?.cause, nth: 0, outcome: "done", attempts: 1, waits: [] },
        ]);
        expect(r.logs).toMatchObject([
          { level: "info", text: "written", fields: { about: r.emitted[0]?.cause }, attempt: 1 },
        ]);
        expect([r.deadLetters, r.errors, r.passedMs]).toEqual([[], [], 0]);
      });
  });

  test("then each event has its own outcome, and one that no trigger asks for is undelivered", async () => {
    const r = await given([
      orders.row({ id: 1, status: "paid" }).updatedTo({ status: "sent" }),
      paid,
      orders.row({ id: 2 }).created(),
      lines.row({ order_id: 1, line: 2 }, { key: ["order_id", "line"] }).deleted(),
    ]).when(receipt);

    expect(r.outcomes.map(({ nth, outcome, reason, attempts }) => [nth, outcome, reason, attempts])).toEqual([
      [0, "skipped", "not paid", 1],
      [1, "done", undefined, 1],
      [2, "undelivered", undefined, 0],
      [3, "undelivered", undefined, 0],
    ]);
  });

  test("then what where leaves out is filtered, as for a worker", async () => {
    const big = automation("big", { on: orders.created(), where: { after: { status: ["paid"] } } }, () => {});
    const r = await given([
      orders.row({ id: 1, status: "pending" }).created(),
      orders.row({ id: 2, status: "paid" }).created(),
    ]).when(big);

    expect(r.outcomes.map(({ outcome, attempts }) => [outcome, attempts])).toEqual([
      ["filtered", 0],
      ["done", 1],
    ]);
  });

  test("then what its filter leaves out is filtered, and one that throws, or does real work, is part of the attempt", async () => {
    const even = automation(
      "even",
      {
        on: orders.created(),
        retry: { attempts: 1 },
        filter: async ({ event: { key } }) => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          if (key.id === 3) throw new Error("odd");
          return key.id % 2 === 0;
        },
      },
      () => {},
    );
    const r = await given([1, 2, 3].map((id) => orders.row({ id }).created())).when(even);

    expect(r.outcomes.map(({ outcome }) => outcome)).toEqual(["filtered", "done", "dead"]);
    expect(r.errors.map(({ attempt, error }) => [attempt, String(error)])).toEqual([[1, "Error: odd"]]);
    expect(r.passedMs).toBe(0);
  });

  test("then it is started at what an update did to a column, by the triggers' own rules", async () => {
    const to = automation("to", { on: orders.updated({ column: "status", from: "pending", to: "paid" }) }, () => {});
    const any = automation("any", { on: orders.changed("total", "note") }, () => {});
    const row = orders.row({ id: 1, status: "pending", total: "1.00", note: null });
    const r = await given([
      row.updatedTo({ status: "paid" }),
      row.updatedTo({ status: "sent" }),
      row.updatedTo({ total: "2.00" }),
    ]).when(to, any);

    expect(r.outcomes.map(({ outcome }) => outcome)).toEqual([
      "done",
      "filtered",
      "filtered",
      "filtered",
      "filtered",
      "done",
    ]);
  });

  test("then it is tried again behind its waits, which take no real time, and is dead in the end", async () => {
    const flaky = automation(
      "flaky",
      { on: orders.created(), retry: { attempts: 4, min: "1m", max: "2m" } },
      ({ event: { key } }) => {
        throw new Error(`no ${key.id}`);
      },
    );
    const began = performance.now();
    const r = await given([orders.row({ id: 7 }).created()]).when(flaky);

    expect(performance.now() - began).toBeLessThan(5000);
    expect(r.outcomes).toMatchObject([
      { outcome: "dead", reason: "exhausted", attempts: 4, error: { name: "Error", message: "no 7" } },
    ]);
    expect(r.outcomes[0]?.waits).toHaveLength(3);
    expect(r.passedMs).toBeGreaterThanOrEqual(60_000 * 3);
    expect(r.errors.map(({ attempt, error }) => [attempt, String(error)])).toEqual(
      [1, 2, 3, 4].map((nth) => [nth, "Error: no 7"]),
    );
    expect(r.deadLetters).toMatchObject([
      { reason: "exhausted", automation: "flaky", attempts: 4, event: { stream: "CDC_SHOP" } },
    ]);
    expect(r.emitted).toEqual([]);
  });

  test("then waits of more than two minutes, which go by way of MILLRACE_RETRY, are told like all others, also across a crash", async () => {
    const patient = automation(
      "patient",
      { on: orders.created(), retry: { attempts: 5, min: "90m", max: "4h" } },
      async ({ tx, attempt }) => {
        await tx(async ({ emit }) => {
          if (attempt < 4) throw new Error("not yet");
          await emit("order.done", { key: 1, data: attempt });
        });
      },
    );
    const never = automation("never", { on: orders.created(), retry: { attempts: 2, min: "1h", max: "1h" } }, () => {
      throw new Error("no");
    });
    const one = orders.row({ id: 7 }).created();
    const all = [await given([one]).when(patient, never), await given([one], { crash: true }).when(patient, never)];

    for (const { outcomes, emitted: out, deadLetters } of all) {
      expect(outcomes).toMatchObject([
        { attempts: 4 },
        { outcome: "dead", reason: "exhausted", attempts: 2, waits: [3_600_000] },
      ]);
      expect(outcomes[0]?.waits).toHaveLength(3);
      expect(Math.min(...(outcomes[0]?.waits ?? []))).toBeGreaterThanOrEqual(5_400_000);
      expect(out.map(({ data }) => data)).toEqual([4]);
      expect(deadLetters).toMatchObject([
        { automation: "never", attempts: 2, event: { stream: "CDC_SHOP", sequence: 2 } },
      ]);
    }
    expect(all.map(({ outcomes: [first] }) => first?.outcome)).toEqual(["done", "skipped"]);
  });

  test("then a failed attempt's emits and statements are not told", async () => {
    const late = automation("late", { on: orders.created() }, async ({ tx, attempt }) => {
      await tx(async ({ client, emit }) => {
        await client.query("select $1", [attempt]);
        await emit("a.b", { key: 1, data: attempt });
        if (attempt === 1) throw new Error("not yet");
      });
    });
    const r = await given([orders.row({ id: 7 }).created()]).when(late);

    expect(r.emitted.map(({ data }) => data)).toEqual([2]);
    expect(r.statements).toEqual([{ text: "select $1", values: [2] }]);
    expect(r.outcomes).toMatchObject([{ outcome: "done", attempts: 2 }]);
  });

  test("then a handler that never ends is told to by its signal at the timeout, and the event is tried again", async () => {
    const slow = automation(
      "slow",
      { on: orders.created(), timeout: "5m", retry: { attempts: 2 } },
      ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    );
    const r = await given([orders.row({ id: 7 }).created()], { patience: "20ms" }).when(slow);

    expect(r.outcomes).toMatchObject([
      { outcome: "dead", reason: "exhausted", attempts: 2, error: { code: "AUTOMATION_TIMEOUT" } },
    ]);
    expect(r.passedMs).toBeGreaterThanOrEqual(600_000);
  });

  test("then one that ignores its signal is an error that says so", async () => {
    const stuck = automation("stuck", { on: orders.created() }, () => new Promise<never>(() => {}));

    await expect(given([orders.row({ id: 7 }).created()], { patience: "20ms" }).when(stuck)).rejects.toMatchObject({
      code: "TESTING_HANDLER_HANGS",
      hint: expect.stringContaining("signal"),
    });
  });

  test("then events that wait for each other beyond all ages are an error that says so", async () => {
    const away = automation("away", { on: orders.created(), concurrency: 1, retry: { maxAge: "1h" } }, ({ retry }) => {
      throw retry({ after: "2m", unavailable: "the shop" });
    });
    const many = Array.from({ length: 30 }, (_, id) => orders.row({ id }).created());

    await expect(given(many).when(away)).rejects.toMatchObject({ code: "TESTING_NEVER_ENDS" });
    expect((await given(many.slice(0, 1)).when(away)).outcomes).toMatchObject([
      { outcome: "dead", reason: "expired", attempts: 0 },
    ]);
  });

  test("then long waits cost few steps of the clock: it does not stop each second for who only looks around", async () => {
    let steps = 0;
    class Counted extends VirtualClock {
      override advance(ms: number): void {
        steps++;
        super.advance(ms);
      }
    }
    const clock = new Counted(Date.UTC(2030, 0, 1));
    const late = automation("late", { on: orders.created(), retry: { attempts: 2, min: "2h", max: "2h" } }, () => {
      throw new Error("no");
    });
    const { passedMs } = await given([orders.row({ id: 7 }).created()], { clock }).when(late);

    expect(passedMs).toBeGreaterThanOrEqual(7_200_000);
    expect(steps).toBeLessThan(passedMs / 5000);
  });

  test("then one that waits by the test's clock has all the time that it waits for", async () => {
    const clock = new VirtualClock(Date.UTC(2030, 0, 1));
    const calm = automation("calm", { on: orders.created(), timeout: "1h" }, async ({ event: { time }, log }) => {
      await clock.sleep(1_800_000);
      log.info(`${time} ${new Date(clock.wall()).toISOString()}`);
    });
    const r = await given([orders.row({ id: 7 }).created()], { clock }).when(calm);

    expect(r.logs.map(({ text }) => text)).toEqual(["2030-01-01T00:00:00.000000Z 2030-01-01T00:30:00.000Z"]);
    expect([r.outcomes[0]?.outcome, r.passedMs]).toEqual(["done", 1_800_000]);
  });

  test("then real work of a handler is waited for within the patience, and no virtual time passes", async () => {
    const real = automation("real", { on: orders.created(), timeout: "10ms" }, async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
    });
    const [one] = (await given([orders.row({ id: 7 }).created()], { patience: "10s" }).when(real)).outcomes;

    expect(one).toMatchObject({ outcome: "done", attempts: 1 });
  });

  test("then domain and system events reach it too", async () => {
    const seen: unknown[] = [];
    const placed = event<{ total: number }>("order.placed");
    const both = automation("both", { on: [placed, system("gap")] }, ({ event: { data } }) => void seen.push(data));
    const gap = { source: "shop", code: null, reason: "lost", after: null, upTo: "1" };
    const r = await given([emitted(placed, { key: "1", data: { total: 3 } }), told("gap", gap)]).when(both);

    expect(seen).toEqual([{ total: 3 }, gap]);
    expect(r.outcomes.map(({ outcome }) => outcome)).toEqual(["done", "done"]);
  });

  test("then what it emitted can be given to the next one, which sees what caused it", async () => {
    const { emitted: out } = await given([paid]).when(receipt);
    const next = automation("next", { on: event<{ orderId: number }>("receipt.created") }, ({ event: got, log }) => {
      log.info(`${got.lineage?.automation} ${got.lineage?.hops} ${got.data.orderId} ${got.headers.tenant}`);
    });
    const r = await given(out).when(next);

    expect(r.logs.map(({ text }) => text)).toEqual(["order-receipt 1 1 a"]);
  });

  test("then a circle of what it emits ends as a dead letter, and so does a chain beyond maxHops", async () => {
    const again = event("ping.pong");
    const ping = automation("ping", { on: again }, ({ tx, event: { key } }) =>
      tx(async ({ emit }) => void (await emit("ping.pong", { key, data: 1 }))),
    );
    const first = await given([emitted(again, { key: "1", data: 0 })]).when(ping);
    const second = await given(first.emitted).when(ping);
    const free = automation("free", { on: again }, () => {});
    const far = await given(first.emitted, { maxHops: 1 }).when(free);

    expect([first, second, far].map(({ outcomes: [one] }) => [one?.outcome, one?.reason])).toEqual([
      ["done", undefined],
      ["dead", "cycle"],
      ["dead", "cycle"],
    ]);
  });

  test("then an event whose worker ended before the ack comes again: tx has one effect, and what is done past it has two", async () => {
    let calls = 0;
    const careless = automation("careless", { on: orders.updated() }, () => void calls++);
    const r = await given([paid], { crash: true }).when(receipt, careless);

    expect(r.outcomes).toMatchObject([
      { automation: "order-receipt", outcome: "skipped", reason: "it had its effect before" },
      { automation: "careless", outcome: "done" },
    ]);
    expect([r.emitted.length, r.statements.length, calls, r.deadLetters.length]).toEqual([1, 1, 2, 0]);
  });

  test("then a crash makes no second dead letter, and no attempt that failed is forgotten by it", async () => {
    const never = automation("never", { on: orders.created() }, () => {
      throw new Error("no");
    });
    const second = automation("second", { on: orders.created() }, ({ attempt, log }) => {
      log.info(String(attempt));
      if (attempt < 2) throw new Error("not yet");
    });
    const r = await given([orders.row({ id: 1 }).created()], { crash: true }).when(never, second);

    expect(r.deadLetters).toMatchObject([{ automation: "never", reason: "exhausted", attempts: 3 }]);
    expect(r.outcomes.map(({ outcome, attempts }) => [outcome, attempts])).toEqual([
      ["dead", 3],
      ["done", 2],
    ]);
    expect(r.logs.map(({ text }) => text)).toEqual(["1", "2", "2"]);
  });

  test("then each key keeps its order where that is asked for, though its first event fails", async () => {
    const inOrder = automation(
      "in-order",
      { on: orders.updated(), order: "key", concurrency: 5 },
      ({ event: { key, after }, attempt, log }) => {
        if (key.id === 1 && attempt < 3) throw new Error("not yet");
        log.info(`${key.id} ${after.status}`);
      },
    );
    const events = (["paid", "sent"] as const).flatMap((status) =>
      [1, 2].map((id) => orders.row({ id, status: "pending" }).updatedTo({ status })),
    );
    const once = await given(events).when(inOrder);

    expect([once].flatMap(({ outcomes }) => outcomes.map(({ outcome }) => outcome))).toEqual(Array(4).fill("done"));
    expect(once.logs.map(({ text }) => text)).toEqual(["2 paid", "2 sent", "1 paid", "1 sent"]);
    expect(once.outcomes.map(({ attempts }) => attempts)).toEqual([3, 1, 3, 1]);
    await expect(given(events, { crash: true }).when(inOrder)).rejects.toMatchObject({ code: "TESTING_CRASH_ORDERED" });
  });

  test("then a dead letter's own event reaches what waits for it", async () => {
    const tell = automation("tell", { on: system("dead") }, ({ event: { type, data }, log }) =>
      log.info(`${type} ${data.count}`),
    );
    const r = await given([told("dead", { source: "shop", automation: "x", state: "arrived", count: 2 })]).when(tell);

    expect(r.logs.map(({ text }) => text)).toEqual(["_system.dead.arrived 2"]);
  });

  test("then a table that was emptied starts what waits for that", async () => {
    const gone = automation("gone", { on: orders.truncated() }, ({ event: { op, collection: name }, log }) =>
      log.info(`${name} ${op}`),
    );
    const r = await given([emptied(orders.truncated())]).when(gone);

    expect(r.logs.map(({ text }) => text)).toEqual(["orders truncated"]);
  });

  test("then several automations get each event, and a failing one keeps none from the other", async () => {
    const bad = automation("bad", { on: orders.created(), retry: { attempts: 1 } }, () => {
      throw new Error("no");
    });
    const good = automation("good", { on: orders.created() }, () => {});
    const r = await given([orders.row({ id: 7 }).created()]).when(bad, good);

    expect(r.outcomes.map(({ automation: id, outcome }) => [id, outcome])).toEqual([
      ["bad", "dead"],
      ["good", "done"],
    ]);
  });

  test("then a large row reaches it whole", async () => {
    const note = "x".repeat(3 * 1024 * 1024);
    const long = automation("long", { on: orders.created() }, ({ event: { after }, log }) =>
      log.info(String(after.note?.length)),
    );
    const r = await given([orders.row({ id: 7, note }).created()]).when(long);

    expect(r.logs.map(({ text }) => text)).toEqual([String(note.length)]);
  });

  test("then its client is the one that the test gives", async () => {
    const asked: unknown[] = [];
    const client = {
      query: async (text: string, values: unknown) => {
        asked.push(text, values);
        return { rows: [{ n: 3 }], rowCount: 1 };
      },
    };
    const count = automation("count", { on: orders.created() }, ({ tx, log }) =>
      tx(async ({ client: own }) => log.info(String((await own.query<{ n: number }>("select 3 as n")).rows[0]?.n))),
    );
    const r = await given([orders.row({ id: 7 }).created()], { client }).when(count);

    expect([r.logs[0]?.text, asked, r.statements]).toEqual(["3", ["select 3 as n", undefined], []]);
  });
});

describe("of an update, the kit tells", () => {
  const seen = async (given_: ReturnType<typeof orders.row>["created"] extends () => infer Change ? Change : never) => {
    const events: unknown[] = [];
    const look = automation(
      "look",
      { on: [orders.updated(), orders.deleted(), orders.created()] },
      ({ event: got }) => void events.push(got),
    );
    await given([given_]).when(look);
    return events[0];
  };
  const row = { id: 1, status: "pending", total: "1.50", note: "long" } as const;

  test("the row before and after, and which columns changed", async () => {
    expect(await seen(orders.row(row).updatedTo({ status: "paid" }))).toMatchObject({
      ...{ op: "updated", key: { id: 1 }, before: row, after: { ...row, status: "paid" }, changed: ["status"] },
      ...{ source: "shop", namespace: "public", collection: "orders", type: "shop.public.orders.updated" },
    });
  });

  test("no row before where the log has none", async () => {
    const got = await seen(orders.row(row, { before: false }).updatedTo({ status: "paid" }));
    expect(got).toMatchObject({ before: null, after: { status: "paid" } });
    expect(got).not.toHaveProperty("changed");
    expect(await seen(orders.row(row, { before: false }).deleted())).toMatchObject({
      op: "deleted",
      before: null,
      after: null,
    });
  });

  test("which large columns the log left out", async () => {
    const got = await seen(orders.row(row).updatedTo({ status: "paid" }, { unchanged: ["note"] }));
    expect(got).toMatchObject({ unchanged: ["note"], after: { id: 1, status: "paid", total: "1.50" } });
    expect((got as { after: object }).after).not.toHaveProperty("note");
  });
});

describe("what cannot be given is refused, with what to do:", () => {
  test("a row without its key", () => {
    expect(() => orders.row({ status: "paid" })).toThrow(expect.objectContaining({ code: "TESTING_KEY_UNKNOWN" }));
    expect(() => lines.row({ order_id: 1 }, { key: ["order_id", "line"] })).toThrow(/it lacks its key, order_id, line/);
  });

  test("an update of the key", () => {
    expect(() => orders.row({ id: 1 }).updatedTo({ id: 2 })).toThrow(
      expect.objectContaining({ code: "TESTING_KEY_CHANGED" }),
    );
    expect(orders.row({ id: 1 }).updatedTo({ id: 1, status: "paid" }).body.changed).toEqual(["status"]);
  });

  test("a value that no source writes", () => {
    expect(() => orders.row({ id: 1, note: (() => {}) as never })).toThrow(
      expect.objectContaining({ code: "TESTING_VALUE" }),
    );
  });

  test("something that is no event, an option that there is not, a client beside a database", () => {
    expect(() => given([{} as never])).toThrow(expect.objectContaining({ code: "TESTING_EVENT" }));
    expect(() => given([], { patient: 1 } as never)).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("patience") }),
    );
    expect(() => given([], { db: {}, client: {} })).toThrow(expect.objectContaining({ code: "TESTING_OPTIONS" }));
  });

  test("a source that cannot be one, and a type that is none", async () => {
    expect(() => emitted("a.b", { key: 1, data: 1 }, { source: "A B" })).toThrow(
      expect.objectContaining({ code: "TESTING_SOURCE" }),
    );
    const any = automation("any", { on: event("a.b") }, () => {});
    await expect(given([emitted("nodot", { key: 1, data: 1 })]).when(any)).rejects.toMatchObject({
      code: "OUTBOX_EVENT_INVALID",
    });
  });

  test("an automation that a worker would not go on with, by what it fails by", async () => {
    const decode = (): never => {
      throw new TypeError("no decoder");
    };
    const odd = collection<Order>("shop", "public.orders", { decode });
    const any = automation("any", { on: odd.created() }, () => {});
    await expect(given([odd.row({ id: 1 }).created()]).when(any)).rejects.toMatchObject({
      code: "TESTING_AUTOMATION_FAILED",
      message: expect.stringContaining("BUG: no decoder"),
    });
  });

  test("two automations of one id, as a worker refuses them", async () => {
    await expect(given([paid]).when(receipt, receipt)).rejects.toMatchObject({ code: "AUTOMATION_DUPLICATE" });
  });

  test("a client of another kind than the kit's own", async () => {
    const drizzle = automation("drizzle", { on: orders.created(), retry: { attempts: 1 } }, ({ tx }) =>
      tx(async ({ client }) => void (client as unknown as { insert(): void }).insert()),
    );
    const r = await given([orders.row({ id: 7 }).created()]).when(drizzle);

    expect(r.errors.map(({ error }) => error)).toMatchObject([
      { code: "TESTING_CLIENT", message: expect.stringContaining("insert") },
    ]);
    expect(r.outcomes).toMatchObject([{ outcome: "dead" }]);
  });
});
