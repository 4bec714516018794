// What is counted of a DynamoDB source's requests, and what that comes to in a month.

import { expect, test } from "vitest";
import { countedApi } from "../../../../../src/source/dynamodb/client/counted-api.ts";
import { ServerError } from "../../../../../src/source/dynamodb/client/errors.ts";
import { perMonth, RequestRate } from "../../../../../src/source/dynamodb/client/request-rate.ts";
import { ScriptedDynamo } from "../../../../support/dynamodb/scripted-dynamo.ts";
import { VirtualClock } from "../../../../support/virtual-clock.ts";

test("each GetRecords counts, whatever its answer; what is throttled and what has expired counts too", async () => {
  const clock = new VirtualClock();
  const server = new ScriptedDynamo("counted", clock);
  server.createTable("carts");
  const counts: Record<string, number> = {};
  const count = (what: string): number => (counts[what] = (counts[what] ?? 0) + 1);
  const api = countedApi({ api: server.connect(), clock, count, rate: new RequestRate() });
  const { arn, shards } = server.streamOf("carts");
  const iterator = await api.iterator(arn, shards[0]?.id ?? "", { at: "horizon" });
  await api.describeStream(arn, {});
  await api.records(iterator, 1000);
  server.before = () => {
    throw new ServerError("throttled", "too many");
  };
  await expect(api.records(iterator, 1000)).rejects.toMatchObject({ refusal: "throttled" });
  await expect(api.describeStream(arn, {})).rejects.toMatchObject({ refusal: "throttled" });
  server.before = () => {};
  clock.advance(16 * 60_000);
  await expect(api.records(iterator, 1000)).rejects.toMatchObject({ refusal: "expired" });

  expect(counts).toEqual({ requests: 3, throttled: 2, iteratorsExpired: 1 });
});

test("the rate is that of the last minute, and is not told of a start", () => {
  const rate = new RequestRate();
  expect(rate.perSecond(0)).toBeUndefined();
  for (let ms = 0; ms < 120_000; ms += 250) rate.add(ms);
  expect(rate.perSecond(119_900)).toBeCloseTo(4, 1);
  expect(rate.perSecond(149_900)).toBeCloseTo(2, 1);
  expect(rate.perSecond(200_000)).toBe(0);
  const young = new RequestRate();
  young.add(5_000);
  expect(young.perSecond(9_000)).toBeUndefined();
  expect(young.perSecond(15_000)).toBe(0.1);
});

test.each([
  [4, "10.4 million"],
  [1, "2.6 million"],
  [0.5, "1.3 million"],
  [0.01, "25920"],
])("%d a second is %s in 30 days", (perSecond, text) => {
  expect(perMonth(perSecond)).toBe(text);
});
