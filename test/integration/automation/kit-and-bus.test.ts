// The test kit and a real nats-server: the same automations over the same events have the same outcomes.

import { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Automation, automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { event } from "../../../src/automation/define/event-trigger.ts";
import { system } from "../../../src/automation/define/system.ts";
import { openJetStreamBus } from "../../../src/bus/jetstream/jetstream-bus.ts";
import { realClock } from "../../../src/clock.ts";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import type { Pace } from "../../../src/testing/pace.ts";
import { play } from "../../../src/testing/play.ts";
import type { Outcome } from "../../../src/testing/result.ts";
import { emitted, type GivenEvent, given, told } from "../../../src/testing.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

interface Order {
  readonly id: number;
  readonly status: string;
  readonly note: string;
}
const orders = collection<Order>("shop", "public.orders");
const placed = event<{ total: number }>("order.placed");
const retry = { attempts: 3, min: 20, max: 40 } as const;

/** By the order's id: what its handler does. */
const mixed = (): Automation =>
  automation(
    "mixed",
    {
      on: [orders.created(), placed, system("gap")],
      retry,
      timeout: "300ms",
      concurrency: 3,
    },
    async ({ event: got, attempt, skip, fatal, retry: again, signal, tx, log }) => {
      const { after } = got as { readonly after?: Order };
      log.info(`attempt ${attempt}`);
      switch (after?.status) {
        case "skip":
          return skip("nothing to do");
        case "fatal":
          throw fatal("never");
        case "fails":
          throw new TypeError("no");
        case "once":
          if (attempt === 1) throw new Error("not yet");
          return;
        case "later":
          if (attempt < 3) throw again({ after: "30ms" });
          return;
        case "hangs":
          return await new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        case "away":
          if (attempt === 1 && !seenAway.has(signal)) {
            if (seenAway.size < 2) {
              seenAway.add(signal);
              throw again({ after: "10ms", unavailable: "the shop" });
            }
          }
          return;
        case "emits":
          await tx(
            async ({ emit }) => void (await emit("order.seen", { key: after.id, data: { note: after.note.length } })),
          );
          return;
        default:
          return;
      }
    },
  );
const seenAway = new Set<AbortSignal>();
const picky = automation(
  "picky",
  { on: orders.created(), where: { after: { status: [{ "anything-but": "draft" }] } }, retry },
  () => {},
);

const statuses = ["done", "skip", "fatal", "fails", "once", "later", "hangs", "away", "emits", "draft"];
const events: readonly GivenEvent[] = [
  ...statuses.map((status, nth) => orders.row({ id: nth, status, note: "n" }).created()),
  orders.row({ id: 50, status: "emits", note: "x".repeat(1_500_000) }).created(),
  orders.row({ id: 51, status: "done" }).updatedTo({ status: "sent" }),
  emitted(placed, { key: "1", data: { total: 1 } }),
  emitted(placed, { key: "2", data: { total: 2 } }),
  told("gap", { source: "shop", code: null, reason: "lost", after: null, upTo: "1" }),
];

/** All but the waits, which have chance in them, and what the id of a system event is made of. */
const comparable = (outcomes: readonly Outcome[]): unknown[] =>
  outcomes.map(({ waits, event: _, ...rest }) => ({ ...rest, retries: waits.length }));

const realPace: Pace = {
  clock: realClock,
  until: async (look) => void (await waitFor(look, { what: "the automations" })),
  handlerStarted: () => () => {},
  databaseAsked: () => () => {},
};

describe.skipIf(missing("nats", "postgres"))("the test kit", () => {
  let database: Database | undefined;
  let pool: Pool;

  beforeAll(async () => {
    database = await freshDatabase();
    pool = new Pool({ connectionString: database.url });
    pool.on("error", () => {});
    await database.query("create table effect(id int, attempt int)");
  });

  afterAll(async () => {
    await pool?.end();
    await database?.[Symbol.asyncDispose]();
  });

  test("tells the same outcomes as a real nats-server has for the same automations", async () => {
    const nats = await freshNats();
    await using bus = await openJetStreamBus({
      ...{ servers: [nats.url], replicas: 1, fsync: "always", log: silentLogger },
      signal: new AbortController().signal,
    });
    seenAway.clear();
    const automations = [mixed(), picky] as const;
    const { observed, ids } = await play({ bus, pace: realPace, automations, events });
    seenAway.clear();
    const r = await given(events, { patience: "20ms" }).when(mixed(), picky);

    const real = observed.outcomes(automations, ids);
    expect(comparable(r.outcomes)).toEqual(comparable(real));
    const [of, filtered] = [r.outcomes.slice(0, events.length), r.outcomes.slice(events.length)];
    expect(filtered.map(({ outcome }) => outcome)).toEqual(
      events.map((_, nth) =>
        nth === statuses.indexOf("draft") ? "filtered" : nth <= statuses.length ? "done" : "undelivered",
      ),
    );
    expect(of.map(({ outcome, reason, attempts }) => [outcome, reason, attempts])).toEqual([
      ["done", undefined, 1],
      ["skipped", "nothing to do", 1],
      ["dead", "fatal", 1],
      ["dead", "exhausted", 3],
      ["done", undefined, 2],
      ["done", undefined, 3],
      ["dead", "exhausted", 3],
      ["done", undefined, 1],
      ["done", undefined, 1],
      ["done", undefined, 1],
      ["done", undefined, 1],
      ["undelivered", undefined, 0],
      ["done", undefined, 1],
      ["done", undefined, 1],
      ["done", undefined, 1],
    ]);
    const emits = (all: typeof r.emitted): unknown[] =>
      all.map(({ type, key, data, cause }) => ({ type, key, data, cause })).sort((a, b) => a.key.localeCompare(b.key));
    expect(emits(r.emitted)).toEqual(emits(observed.emitted));
    expect(r.emitted).toHaveLength(2);
    expect(r.logs.map(({ event: id, text }) => `${id} ${text}`).sort()).toEqual(
      observed.logs.map(({ event: id, text }) => `${id} ${text}`).sort(),
    );
  });

  const writes = automation(
    "writes",
    { on: orders.created(), retry: { attempts: 3, min: "1m", max: "2m" } },
    async ({ tx, event: got, attempt }) => {
      await tx(async ({ client, emit }) => {
        await client.query("insert into effect values ($1, $2)", [got.after.id, attempt]);
        await emit("effect.written", { key: got.after.id, data: attempt });
        if (attempt === 1) throw new Error("not yet");
      });
    },
  );

  test("runs tx on a database that it is given: what is rolled back is neither there nor emitted, and it takes no virtual time", async () => {
    await database?.query(`${migrationSql("outbox")}; ${migrationSql("inbox")}`);
    const r = await given([orders.row({ id: 7 }).created()], { db: pool }).when(writes);

    expect(r.outcomes).toMatchObject([{ outcome: "done", attempts: 2 }]);
    expect(r.emitted.map(({ data }) => data)).toEqual([2]);
    expect(await database?.query("select id, attempt from effect")).toEqual([{ id: 7, attempt: 2 }]);
    expect(await database?.query("select automation, event_id from millrace.inbox")).toEqual([
      { automation: "writes", event_id: r.outcomes[0]?.event },
    ]);
    expect(r.statements).toEqual([]);
    expect(r.passedMs).toBe(r.outcomes[0]?.waits[0]);
  });

  test("refuses a database without an inbox, as a worker does", async () => {
    await using bare = await freshDatabase();
    const own = new Pool({ connectionString: bare.url });
    await expect(given([orders.row({ id: 7 }).created()], { db: own }).when(writes)).rejects.toMatchObject({
      code: "TX_WITHOUT_INBOX",
    });
    await own.end();
  });
});
