// How near a MongoDB source is to the end of the oplog, measured on the wire double, whose time a test moves; and who hears of it.

import { expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../../src/app.ts";
import { automation } from "../../../../src/automation/define/automation.ts";
import { system } from "../../../../src/automation/define/system.ts";
import { positionsAt } from "../../../../src/event/positions.ts";
import type { LagData } from "../../../../src/event/system-event.ts";
import { type ClusterTime, formatPosition } from "../../../../src/source/mongodb/client/position.ts";
import { mongoConnector } from "../../../../src/source/mongodb/connector.ts";
import type { Finding } from "../../../../src/telemetry/finding.ts";
import { DoubleShop, SHOP } from "../../../support/mongodb/double-shop.ts";
import { freshNats } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

const through = (time: ClusterTime) =>
  positionsAt({ position: formatPosition({ history: 1, time, ordinal: 0, idle: 0, token: undefined }, true) });

test("an oplog that drops nothing has no window; a full one has, with what is left of it, and a forecast once the source falls back", async () => {
  const shop = await DoubleShop.start();
  const { oplog } = shop.double;
  await using probe = mongoConnector.watch(SHOP, mongoConnector.parse(shop.section, "sources.shop"));
  expect(await probe.look(undefined)).toBeUndefined();
  const oldest = oplog.tick(600);
  const at = oplog.tick(1200);
  oplog.tick(1800);
  expect(await probe.look(through(at))).toEqual({ lost: 0, lagSeconds: 1800 });
  expect(probe.summary).toBe("the oplog is not full yet, and drops nothing; it is 30 min behind");

  oplog.forget(oldest);
  expect(await probe.look(through(at))).toMatchObject({
    lost: 0,
    lagSeconds: 1800,
    windowSeconds: 3000,
    windowUsed: 0.6,
    timeToFullSeconds: undefined,
  });
  expect(probe.summary).toBe("the oplog reaches back 50 min; it is 30 min behind (60 %), 20 min are left");

  oplog.tick(60);
  expect(await probe.look(through(at))).toMatchObject({ lagSeconds: 1860, timeToFullSeconds: 1200 });
  expect(probe.summary).toMatch(/, 20 min are left; it falls back, for 20 min more$/);

  oplog.truncate();
  expect(await probe.look(through(at))).toEqual({ lost: 1 });
  expect(probe.summary).toBe("the oplog no longer holds what comes next");
});

test("a user that may not read the oplog has the lag alone, and is told where to look", async () => {
  const shop = await DoubleShop.start();
  const at = shop.double.oplog.time;
  await using probe = mongoConnector.watch(SHOP, mongoConnector.parse(shop.section, "sources.shop"));
  shop.double.fail({
    command: "find",
    times: 99,
    code: 13,
    codeName: "Unauthorized",
    message: "not authorized on local",
  });

  expect(await probe.look(through(at))).toEqual({ lost: 0, lagSeconds: 0 });
  expect(probe.summary).toMatch(/^how far the oplog reaches back is not known: `millrace check` says why/);
});

test("check fails where the oplog no longer holds what comes next, and warns of a short one, each with the command", async () => {
  const shop = await DoubleShop.start();
  const { oplog } = shop.double;
  const config = mongoConnector.parse(shop.section, "sources.shop");
  const findings = async (at: ClusterTime) => {
    const context = { saved: undefined, stored: through(at), others: new Map(), signal: AbortSignal.timeout(30_000) };
    const found: Finding[] = [];
    for await (const finding of mongoConnector.check(SHOP, config, context)) found.push(finding);
    return found.filter(({ subject }) => /oplog/.test(subject));
  };
  const at = oplog.time;

  expect(await findings(at)).toMatchObject([
    { level: "warn", code: "OPLOG_WINDOW", fix: expect.stringContaining("minRetentionHours: 48") },
    {
      level: "ok",
      code: "OPLOG_LOST",
      message: expect.stringMatching(/^the stream is \d+ s behind it, and 0 s are left$/),
    },
  ]);
  oplog.tick(600);
  oplog.truncate();
  expect((await findings(at))[1]).toMatchObject({
    level: "fail",
    code: "OPLOG_LOST",
    message: "the oplog begins 10 min behind what the stream has: what was written between is lost",
    fix: expect.stringMatching(/run --adopt .*docs\/operations\/oplog-lost\.md/),
  });
});

test("a server that is not MongoDB is refused by name, by what it says of itself", async () => {
  const shop = await DoubleShop.start({ hello: { internal: { documentdb_versions: ["0.104"] } } });

  await expect(shop.open()).rejects.toMatchObject({
    name: "ConfigError",
    code: "SERVER_UNSUPPORTED",
    message: expect.stringContaining("Azure Cosmos DB"),
    hint: expect.stringContaining("MongoDB 6.0"),
  });
  expect(shop.memory.value).toBeUndefined();
});

test("automations, status and readiness hear of a source that is behind, once, and again when it is not", async () => {
  const nats = await freshNats({ syncInterval: "always" });
  const shop = await DoubleShop.start();
  const heard: LagData[] = [];
  const page = automation("page", { on: system("lag") }, ({ event }) => void heard.push(event.data));
  const worker = await startWorker(
    {
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "mongodb", ...shop.section, guard: { lag: "10m" } } },
      automations: [page],
    },
    { timing: { guardEveryMs: 100 } },
  );
  worker.finished.catch(() => {}); // the test would see it
  onTestFinished(() => worker.stop());
  const source = () => worker.status().parts.find(({ id }) => id === "shop");
  shop.insert(1);
  await waitFor(() => worker.status().sources[0]?.guard?.measures?.lagSeconds === 0, { what: "the guard to see" });
  expect(source()).toMatchObject({ ready: true });
  expect(source()?.alarms).toBeUndefined();

  // Until the next place of an idle stream is told, an hour of the log is not acknowledged.
  shop.double.oplog.tick(3600);
  const said = await waitFor(() => source()?.alarms?.[0], { what: "the alarm" });
  expect(said).toMatchObject({
    code: "GUARD_EXCEEDED",
    message: expect.stringMatching(/behind the log.*oplog-window\.md/),
  });
  await waitFor(() => heard.some(({ state }) => state === "recovered"), { what: "the end" });

  expect(heard.map(({ source: id, measure, state, limit }) => [id, measure, state, limit])).toEqual([
    ["shop", "lagSeconds", "exceeded", 600],
    ["shop", "lagSeconds", "recovered", 600],
  ]);
  expect(source()?.alarms).toBeUndefined();
});
