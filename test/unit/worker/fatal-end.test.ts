// What ends a worker of several sources.

import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { ConfigError, HistoryLostError } from "../../../src/errors.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { fatalEnd } from "../../../src/worker/fatal-end.ts";

const lost = new HistoryLostError("SLOT_MISSING", "the slot was dropped");
const wrong = new ConfigError("SOURCE_OTHER_DATABASE", "the stream comes from another database");

/** A source that goes on until it is said how it ends. */
function going() {
  let resolve: () => void = () => {};
  let reject: (error: Error) => void = () => {};
  const end = new Promise<void>((well, badly) => {
    resolve = well;
    reject = badly;
  });
  return { end, resolve: () => resolve(), reject: (error: Error) => reject(error) };
}

/** Two sources, and what the worker makes of how they end. */
function two() {
  const [shop, crm] = [going(), going()];
  const told: unknown[] = [];
  const log = { ...silentLogger, error: (event: string, fields: object = {}) => void told.push([event, fields]) };
  const trackers = ["shop", "crm"].map((id) => ({ id: id as SourceId }));
  return { shop, crm, told, end: fatalEnd(trackers, [shop.end, crm.end], log) };
}

test("a wrong set-up ends it though another source goes on", async () => {
  const { crm, end } = two();

  crm.reject(wrong);

  await expect(end).rejects.toBe(wrong);
});

test("a lost history ends it once no other source goes on, and is told when its source ends", async () => {
  const { shop, crm, told, end } = two();
  const ended: unknown[] = [];
  const over = end.catch((error: unknown) => void ended.push(error));

  shop.reject(lost);
  await setImmediate();
  expect(told).toEqual([["source_stopped", { source: "shop", code: "SLOT_MISSING", hint: undefined }]]);
  expect(ended).toEqual([]);
  crm.resolve();

  await over;
  expect(ended).toEqual([lost]);
});

test("it ends well when all have, and what is no error of ours is told as unexpected", async () => {
  const well = two();
  well.shop.resolve();
  well.crm.resolve();
  await expect(well.end).resolves.toBeUndefined();

  const { shop, crm, told, end } = two();
  crm.resolve();
  shop.reject(new TypeError("x is not a function"));
  await expect(end).rejects.toThrow(TypeError);
  expect(told).toEqual([["source_stopped", { source: "shop", code: "UNEXPECTED", hint: undefined }]]);
});
