// What a test gives that no source wrote: what somebody triggers by hand, and what a worker tells of endpoints.

import { expect, test } from "vitest";
import * as z from "zod";
import { automation, manual, system } from "../../../src/index.ts";
import { given, told, triggered } from "../../../src/testing.ts";

const since = z.object({ since: z.coerce.date() });
const reindex = automation("reindex", { on: manual(since) }, ({ event, log }) =>
  log.info(event.data.since.toISOString()),
);

test("what somebody triggers reaches the handler as the schema makes it, and what does not fit is a dead letter", async () => {
  const r = await given([triggered(reindex, { since: "2026-01-01" }), triggered(reindex)]).when(reindex);

  expect(r.logs.map(({ text }) => text)).toEqual(["2026-01-01T00:00:00.000Z"]);
  expect(r.outcomes).toMatchObject([{ outcome: "done" }, { outcome: "dead", reason: "undecodable" }]);
});

test("without a schema and data the handler gets null, as of the command", async () => {
  const seen: unknown[] = [];
  const plain = automation("plain", { on: manual() }, ({ event }) => void seen.push(event.type, event.data));
  await given([triggered(plain)]).when(plain);

  expect(seen).toEqual(["_manual.plain.triggered", null]);
});

test("an automation that nobody can trigger is refused, and its events reach no other one", async () => {
  const other = automation("other", { on: system("lag") }, () => {});

  expect(() => triggered(other)).toThrow(expect.objectContaining({ code: "TESTING_EVENT" }));
  const { outcomes } = await given([triggered(reindex, { since: 0 })]).when(other);
  expect(outcomes).toMatchObject([{ outcome: "undelivered" }]);
});

test("what becomes of an endpoint is told as a worker tells it", async () => {
  const seen: unknown[] = [];
  const tell = automation("tell", { on: system("endpoint") }, ({ event }) => void seen.push(event.type, event.data));
  const data = { endpoint: "crm", state: "paused", reason: "failing", by: "worker" } as const;
  await given([told("endpoint", data)]).when(tell);

  expect(seen).toEqual(["_system.endpoint.paused", data]);
});
