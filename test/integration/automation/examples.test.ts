// The examples on a real Postgres, by the test kit: what their handlers write is there once, and nothing of what failed is.
// And what the seeds' own sample code gets wrong, held against them.

import { readFileSync } from "node:fs";
import { Pool } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { autoTag, instances } from "../../../examples/automations/auto-tag.ts";
import { compliance, configs } from "../../../examples/automations/compliance.ts";
import { deviceTicketBy, interfaces } from "../../../examples/automations/device-ticket.ts";
import {
  approvals,
  orderApproved,
  orderDecision,
  orderIntake,
  orderPlaced,
  orderShipping,
} from "../../../examples/automations/order-approval.ts";
import { peers, selfHealingOf } from "../../../examples/automations/self-healing.ts";
import { processUpload, uploads } from "../../../examples/automations/uploads.ts";
import { automation, compilePattern } from "../../../src/index.ts";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { emitted, given } from "../../../src/testing.ts";
import { type Database, freshDatabase, missing } from "../../support/servers.ts";

describe.skipIf(missing("postgres"))("the example", () => {
  let database: Database;
  let pool: Pool;
  const rows = (sql: string): Promise<readonly object[]> => database.query(sql);

  beforeAll(async () => {
    database = await freshDatabase();
    pool = new Pool({ connectionString: database.url });
    pool.on("error", () => {});
    const schema = readFileSync("examples/automations/schema.sql", "utf8");
    await database.query(`${migrationSql("outbox")}; ${migrationSql("inbox")}; ${schema}`);
  });

  afterAll(async () => {
    await pool?.end();
    await database?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    await database.query("truncate instances, tickets, findings, processed, shipments, approvals, millrace.inbox");
  });

  const running = instances.row({ id: "i-1", state: "pending", tags: {} }).updatedTo({ state: "running" });
  const down = (device: string) =>
    interfaces.row({ id: `${device}:eth0`, device, status: "up" }).updatedTo({ status: "down" });
  const approved = emitted(orderApproved, { key: "o-1", data: { id: "o-1", customer: "Ada", total: 1 } });

  test("auto-tag fills in what is missing, and keeps what somebody has set by then", async () => {
    await rows(`insert into instances values ('i-1', 'running', '{"owner": "ada"}')`);
    const r = await given([running], { db: pool }).when(autoTag);

    expect(r.outcomes).toMatchObject([{ outcome: "done" }]);
    expect(await rows("select tags from instances")).toEqual([{ tags: { owner: "ada", "cost-center": "unassigned" } }]);
  });

  test("device-ticket opens one ticket for each interface that goes down", async () => {
    await given([down("a"), down("b")], { db: pool }).when(
      deviceTicketBy({ reachable: async (device) => device === "a" }),
    );

    expect(await rows("select kind, device from tickets order by device")).toEqual([
      { kind: "work", device: "a" },
      { kind: "incident", device: "b" },
    ]);
  });

  test("self-healing opens a ticket for the session that stays down alone", async () => {
    const lost = (id: string) =>
      peers.row({ id, device: `edge-${id}`, state: "established" }).updatedTo({ state: "idle" });
    const up = new Set<string>();
    const network = {
      established: async (id: string) => up.has(id),
      reset: async (id: string) => void (id === "a" && up.add(id)),
    };
    const r = await given([lost("a"), lost("b")], { db: pool }).when(selfHealingOf(network));

    expect(await rows("select device, about from tickets")).toEqual([
      { device: "edge-b", about: "b stays down after 2 resets" },
    ]);
    expect(r.passedMs).toBe(60_000);
  });

  test("compliance writes each broken rule of a change", async () => {
    const config = configs.row({ id: "c-1", device: "core-1", change_id: "CHG-7", text: "" });
    await given([config.updatedTo({ text: "snmp-server community public", change_id: "CHG-8" })], { db: pool }).when(
      compliance,
    );

    expect(await rows("select change_id, rule from findings order by id")).toEqual([
      { change_id: "CHG-8", rule: "time is synchronised" },
      { change_id: "CHG-8", rule: "no default community" },
    ]);
  });

  test("order-approval asks a person for a large order, and ships it once when that says yes", async () => {
    const data = { id: "o-1", customer: "Ada", total: 500_000 };
    await given([emitted(orderPlaced, { key: "o-1", data })], { db: pool }).when(orderIntake);
    expect(await rows("select id, order_data, decision from approvals")).toEqual([
      { id: "o-1", order_data: data, decision: "open" },
    ]);

    const asked = approvals.row({ id: "o-1", order_data: data, decision: "open" });
    const decided = await given([asked.updatedTo({ decision: "yes" })], { db: pool }).when(orderDecision);
    await given(decided.emitted, { db: pool }).when(orderShipping);
    const again = await given(decided.emitted, { db: pool }).when(orderShipping);

    expect(await rows("select order_id, customer from shipments")).toEqual([{ order_id: "o-1", customer: "Ada" }]);
    expect(again.outcomes).toMatchObject([{ outcome: "skipped", reason: "it had its effect before" }]);
  });

  test("uploads processes each one", async () => {
    const upload = uploads.row({ id: "1", bucket: "in", path: "a.csv", size: 3 }).created();
    await given([upload], { db: pool }).when(processUpload);

    expect(await rows("select upload_id, size from processed")).toEqual([{ upload_id: "1", size: 3 }]);
  });

  describe("does not what the seeds' sample code does:", () => {
    test("work that failed is not acked, and its event is no duplicate of itself when it comes again", async () => {
      let tries = 0;
      const flaky = automation("order-shipping", { on: orderApproved }, async (context) => {
        await orderShipping.handler(context as never);
        if (++tries === 1) throw new Error("the process ended here, behind the commit");
      });
      const before = automation("before", { on: orderApproved, retry: { attempts: 2 } }, async ({ tx, attempt }) => {
        await tx(async ({ client }) => {
          await client.query("insert into shipments values ('o-2', 'Bob')");
          if (attempt === 1) throw new Error("the first attempt fails, its entry in the inbox with it");
        });
      });
      const r = await given([approved], { db: pool }).when(flaky, before);

      expect(r.outcomes).toMatchObject([
        { outcome: "skipped", attempts: 2, reason: "it had its effect before" },
        { outcome: "done", attempts: 2 },
      ]);
      expect(await rows("select order_id from shipments order by order_id")).toEqual([
        { order_id: "o-1" },
        { order_id: "o-2" },
      ]);
    });

    test("each event that comes again, for its worker ended before the ack, has one effect", async () => {
      const large = emitted(orderPlaced, { key: "o-2", data: { id: "o-2", customer: "Bob", total: 500_000 } });
      const upload = uploads.row({ id: "1", bucket: "in", path: "a.csv", size: 3 }).created();
      const r = await given([approved, large, upload, down("a")], { db: pool, crash: true }).when(
        orderIntake,
        orderShipping,
        processUpload,
        deviceTicketBy({ reachable: async () => true }),
      );

      expect(
        r.outcomes.flatMap(({ outcome, reason }) => (outcome === "undelivered" ? [] : [[outcome, reason]])),
      ).toEqual(Array.from({ length: 4 }, () => ["skipped", "it had its effect before"]));
      const counts = ["approvals", "shipments", "processed", "tickets"].map(
        (table) => `(select count(*) from ${table})::int as ${table}`,
      );
      expect(await rows(`select ${counts.join(", ")}`)).toEqual([
        { approvals: 1, shipments: 1, processed: 1, tickets: 1 },
      ]);
      expect(r.emitted).toHaveLength(4);
    });

    test("copies of one event that come at once have one effect: nobody checks first and acts then", async () => {
      const copies = Array.from({ length: 10 }, () => approved);
      const r = await given(copies, { db: pool }).when(orderShipping);

      expect(await rows("select order_id from shipments")).toHaveLength(1);
      expect(r.emitted).toHaveLength(1);
    });

    test("what fails again and again is a dead letter, with the whole event and the error, and leaves nothing behind", async () => {
      const deny = deviceTicketBy({
        reachable: async () => {
          throw new Error("no route");
        },
      });
      const r = await given([down("a")], { db: pool }).when(deny);

      expect(r.deadLetters).toMatchObject([
        { reason: "exhausted", attempts: 3, error: { message: "no route" }, event: { stream: "CDC_OPS" } },
      ]);
      expect(await rows("select * from tickets")).toEqual([]);
    });

    test("the error of one automation hides none of another's, and holds none up", async () => {
      const failing = (id: string) =>
        automation(id, { on: orderApproved, retry: { attempts: 2 } }, () => {
          throw new Error(`${id} fails`);
        });
      const r = await given([approved], { db: pool }).when(failing("first"), orderShipping, failing("third"));

      expect(r.outcomes.map(({ automation: id, outcome }) => [id, outcome])).toEqual([
        ["first", "dead"],
        ["order-shipping", "done"],
        ["third", "dead"],
      ]);
      expect(r.deadLetters.map(({ error }) => error.message).sort()).toEqual(["first fails", "third fails"]);
    });

    test("what happens to one device is not taken for another's", async () => {
      const seen: string[] = [];
      await given([down("a"), down("b"), down("a")], { db: pool }).when(
        deviceTicketBy({ reachable: async (device) => seen.push(device) > 0 }),
      );

      expect(seen.sort()).toEqual(["a", "a", "b"]);
      expect(await rows("select device, count(*)::int as n from tickets group by 1 order by 1")).toEqual([
        { device: "a", n: 2 },
        { device: "b", n: 1 },
      ]);
    });

    test("a pattern with keys in the wrong case is refused, and does not match nothing for ever", () => {
      const wrong = { After: { state: ["running"] } } as never;
      expect(() => automation("wrong", { on: instances.created(), where: wrong }, () => {})).toThrow(
        expect.objectContaining({ code: "PATTERN_INVALID" }),
      );
      expect(compilePattern({ Detail: { status: ["success"] } })({ detail: { status: "success" } })).toBe(false);
    });
  });
});
