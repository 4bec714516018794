import { expect, test } from "vitest";
import { type AutomationStatus, readinessOf, type SourceStatus, type Status } from "../../../src/monitor/status.ts";

const source: SourceStatus = {
  id: "shop",
  kind: "postgres",
  state: "running",
  heldForFsync: { marks: 0, oldestMs: 0 },
  stalledMs: 0,
  read: 0,
  published: 0,
  saved: 0,
  acknowledged: 0,
  poison: 0,
};
const automation: AutomationStatus = {
  id: "mail",
  state: "running",
  handled: 0,
  skipped: 0,
  retried: 0,
  dead: 0,
  running: 0,
};

function ready(parts: Partial<Pick<Status, "bus" | "sources" | "automations">>): Record<string, string | true> {
  const status = { version: "0", startedAt: "", bus: { connected: true }, sources: [], automations: [], ...parts };
  return Object.fromEntries(readinessOf(status).map(({ id, ready, reason }) => [id, ready || reason]));
}

test("a running source and automation are ready", () => {
  expect(ready({ sources: [source], automations: [automation] })).toEqual({ nats: true, shop: true, mail: true });
});

test("a source that another worker reads is ready: this worker stands by", () => {
  expect(ready({ sources: [{ ...source, state: "waiting-for-lease" }] })).toMatchObject({ shop: true });
});

test("what is stuck is not ready, and says why", () => {
  const reason = { code: "SOURCE_AWAY", message: "no connection" };

  expect(
    ready({
      bus: { connected: false },
      sources: [
        { ...source, state: "retrying", reason },
        { ...source, id: "late", state: "starting" },
        { ...source, id: "full", stalledMs: 45_000 },
      ],
      automations: [{ ...automation, state: "stopped", reason }],
    }),
  ).toEqual({
    nats: "not connected",
    shop: "retrying: SOURCE_AWAY: no connection",
    late: "starting",
    full: "the bus is not connected: nothing could be stored for 45 s",
    mail: "stopped: SOURCE_AWAY: no connection",
  });
});

test("a bus that is there and takes nothing, and one that has yet to sync, are told apart from one that is away", () => {
  const heldForFsync = { marks: 3, oldestMs: 90_000 };
  const status: Status = {
    version: "0",
    startedAt: "",
    bus: { connected: true },
    sources: [
      { ...source, stalledMs: 45_000, stalledBy: "insufficient storage" },
      { ...source, id: "held", heldForFsync },
    ],
    automations: [],
  };

  expect(readinessOf(status).slice(1)).toEqual([
    { kind: "source", id: "shop", ready: false, reason: "nothing could be stored for 45 s: insufficient storage" },
    { kind: "source", id: "held", ready: true, reason: "running; for 90 s what is stored waits for the bus's fsync" },
  ]);
});
