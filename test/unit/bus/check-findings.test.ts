// What `check` decides where this machine cannot be broken that way: old and new servers, poolers, clocks, clusters.

import type { StreamInfo } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import { automationFindings, type ListenedSource } from "../../../src/automation/define/check-automations.ts";
import { replicasFinding, streamFindings } from "../../../src/bus/jetstream/commands/check-findings.ts";
import { type SourceId, systemId } from "../../../src/event/source-id.ts";
import { automation, event, system } from "../../../src/index.ts";
import { addressFindings, clockFinding } from "../../../src/source/postgres/check/check-connection.ts";
import { serverFindings, versionFinding } from "../../../src/source/postgres/check/check-server.ts";
import { ownSlotFinding } from "../../../src/source/postgres/check/check-slots.ts";
import type { ServerFacts } from "../../../src/source/postgres/facts/server.ts";
import type { Slot } from "../../../src/source/postgres/facts/slots.ts";

describe("automations", () => {
  const SHOP = "shop" as SourceId;
  const sources = new Map<SourceId, ListenedSource>([
    [SHOP, { collections: [{ namespace: "public", name: "orders" }], durables: [], stream: "CDC_SHOP" }],
    [systemId, { collections: undefined, durables: ["page", "gone"], stream: "MILLRACE_EVENTS" }],
  ]);
  const page = automation("page", { on: system("lag") }, () => {});
  const mail = automation("mail", { on: event("order.placed") }, () => {});
  const codes = (outboxes: readonly SourceId[]): readonly string[] =>
    automationFindings([page, mail], { all: [SHOP], outboxes }, sources).map(
      ({ level, code, subject }) => `${level} ${code} ${subject}`,
    );

  test("of the worker's own events and of domain events are fine, and their subscriptions are looked through", () => {
    expect(codes([SHOP])).toEqual([
      "ok AUTOMATION automation page",
      "ok AUTOMATION automation mail",
      "warn AUTOMATION_ORPHAN subscription gone",
    ]);
  });

  test("that are not there any more, and that long retries and replays wait for, are named with what to do", () => {
    const waiting = new Map([
      ["mail", 3],
      ["old", 2],
    ]);
    const found = automationFindings([mail], { all: [SHOP], outboxes: [SHOP] }, new Map(), waiting);
    expect(found.filter(({ level }) => level === "warn")).toEqual([
      {
        ...{ level: "warn", code: "RETRY_ORPHAN", subject: "automation old" },
        message: "2 long retries and replays wait for it, and this configuration does not have it",
        fix: expect.stringContaining("nats stream purge MILLRACE_RETRY --subject=retry.old"),
      },
    ]);
  });

  test("of domain events that no source holds fail, as the start does", () => {
    expect(codes([])).toContain("fail AUTOMATION_WITHOUT_OUTBOX automation mail");
  });
});

const server: ServerFacts = {
  version: 180_004,
  versionText: "18.4",
  standby: false,
  walLevel: "logical",
  systemId: "7",
  encoding: "UTF8",
  database: "app",
  role: "millrace",
  mayReplicate: true,
  maxSlots: 10,
  usedSlots: 0,
  maxSenders: 10,
  usedSenders: 0,
  keepMb: 51_200,
  maxWalMb: 1024,
  idleSlotSeconds: 0,
  awaited: [],
  provider: null,
};

const levels = (facts: Partial<ServerFacts>, slot?: { active: boolean }): readonly string[] =>
  serverFindings({ ...server, ...facts }, slot)
    .filter(({ level }) => level !== "ok")
    .map(({ level, code }) => `${level} ${code}`);

test("a server older than 14 fails", () => {
  expect(versionFinding({ ...server, version: 130_014 })).toMatchObject({ level: "fail", code: "SERVER_TOO_OLD" });
  expect(versionFinding({ ...server, version: 140_000 }).level).toBe("ok");
});

test("from 19 on the level replica will do, before it does not, and minimal never does", () => {
  expect(levels({ version: 190_000, walLevel: "replica" })).toEqual([]);
  expect(levels({ version: 180_004, walLevel: "replica" })).toEqual(["fail WAL_LEVEL_NOT_LOGICAL"]);
  expect(levels({ version: 190_000, walLevel: "minimal" })).toEqual(["fail WAL_LEVEL_NOT_LOGICAL"]);
});

test.each([
  ["rdsadmin", "In the parameter group of RDS or Aurora: rds.logical_replication = 1 (then reboot)."],
  ["cloudsqlsuperuser", "As a database flag of Cloud SQL: cloudsql.logical_decoding = on (it restarts)."],
  ["neon_superuser", "In Neon's console, or by its support: logical replication = on, in the project's settings."],
  ["supabase_admin", "By Supabase's command: supabase postgres-config update --config wal_level=logical"],
  [null, "ALTER SYSTEM SET wal_level = 'logical'; -- then restart the server"],
] as const)("the log's level where %s is a role of the server is set the provider's way", (provider, fix) => {
  expect(serverFindings({ ...server, walLevel: "replica", provider }, undefined)[0]?.fix).toBe(fix);
});

test("a source whose slot exists needs no free one, and one that is read no free walsender", () => {
  const full = { usedSlots: 10, usedSenders: 10 };
  expect(levels(full)).toEqual(["fail SLOTS_EXHAUSTED", "fail WALSENDERS_EXHAUSTED"]);
  expect(levels(full, { active: false })).toEqual(["fail WALSENDERS_EXHAUSTED"]);
  expect(levels(full, { active: true })).toEqual([]);
});

test.each([
  ["postgres://u@db.example.com:6543/app", "warn"],
  ["postgres://u@db.example.com:6432/app", "warn"],
  ["postgres://u@ep-cool-1-pooler.eu.example.com/app", "warn"],
  ["postgres://u@pooler.example.com/app", "warn"],
  ["postgres://u@db.example.com:5432/app", "ok"],
  ["postgres://u@whirlpooler.example.com/app", "ok"],
])("a pooler's address: %s is %s", (url, level) => {
  const [finding] = addressFindings({ url, timeoutMs: 30_000 });
  expect(finding).toMatchObject({ code: "POOLER_IN_THE_WAY", level });
});

test("clocks apart by more than five seconds warn, a slow answer does not", () => {
  expect(clockFinding({ aheadMs: -60_000, roundTripMs: 10 })).toMatchObject({ level: "warn", code: "CLOCK_SKEW" });
  expect(clockFinding({ aheadMs: 4_000, roundTripMs: 10 }).level).toBe("ok");
  expect(clockFinding({ aheadMs: 6_000, roundTripMs: 4_000 }).level).toBe("ok");
});

test("a slot that the server gave up fails", () => {
  const slot: Slot = {
    name: "millrace_shop",
    plugin: "pgoutput",
    database: "app",
    twoPhase: false,
    temporary: false,
    active: false,
    pid: null,
    idleSeconds: null,
    lost: "wal_removed",
    confirmed: "0/1",
    retainedBytes: null,
    unconfirmedBytes: null,
    failover: false,
    feedback: false,
  };
  const finding = ownSlotFinding(slot, { slot: slot.name, publication: slot.name }, server, "unknown");
  expect(finding).toMatchObject({ level: "fail", code: "SLOT_LOST", fix: expect.any(String) });
});

test("in a cluster one copy warns, and three do not", () => {
  expect(replicasFinding(1, "eu").level).toBe("warn");
  expect(replicasFinding(3, "eu").level).toBe("ok");
  expect(replicasFinding(3, undefined).level).toBe("fail");
});

test("copies of a stream that are away, and fewer than wanted, are named with the command that mends it", () => {
  const info = {
    config: { name: "CDC_SHOP", num_replicas: 3, max_bytes: -1, max_age: 0 },
    state: { messages: 0, bytes: 0 },
    cluster: {
      replicas: [
        { name: "n2", current: true },
        { name: "n3", current: false, offline: true },
      ],
    },
  } as unknown as StreamInfo;

  expect(streamFindings(info, { replicas: 3 }, [])).toEqual([
    expect.objectContaining({ code: "BUS_REPLICA_AWAY", level: "warn" }),
  ]);
  expect(streamFindings(info, { replicas: 5 }, [])[0]?.fix).toBe("nats stream edit CDC_SHOP --replicas 5");
});
