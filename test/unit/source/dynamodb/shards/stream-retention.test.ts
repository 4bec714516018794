// How near a source is to what DynamoDB no longer keeps.

import { expect, test } from "vitest";
import { partitionOf } from "../../../../../src/source/dynamodb/client/partition.ts";
import { PositionFormat, Step } from "../../../../../src/source/dynamodb/client/position.ts";
import { parseDynamoConfig } from "../../../../../src/source/dynamodb/options/config.ts";
import { StreamRetention } from "../../../../../src/source/dynamodb/shards/stream-retention.ts";
import { ScriptedDynamo } from "../../../../support/dynamodb/scripted-dynamo.ts";
import { VirtualClock } from "../../../../support/virtual-clock.ts";

test("a place that rests has the age of what waits behind it, and is lost once that is no longer kept", async () => {
  const clock = new VirtualClock();
  const server = new ScriptedDynamo("retention", clock);
  server.createTable("carts");
  server.put("carts", "a");
  const { label, shards } = server.streamOf("carts");
  const partition = partitionOf({ table: "carts", label, shard: shards[0]?.id ?? "" });
  const number = shards[0]?.records[0]?.dynamodb.SequenceNumber;
  const through = new Map([[partition, new PositionFormat(partition).format({ number, step: Step.record })]]);
  const config = parseDynamoConfig({ tables: ["carts"] }, "sources.shop");
  await using probe = new StreamRetention({ config, clock, connect: async () => server.connect() });

  expect(await probe.look(undefined)).toBeUndefined();
  expect(await probe.look(through)).toEqual({ lost: 0, retentionUsed: 0, lagSeconds: 0 });
  server.put("carts", "b");
  clock.advance(6 * 3600_000);
  expect(await probe.look(through)).toEqual({ lost: 0, retentionUsed: 0.25, lagSeconds: 6 * 3600 });
  const asked = server.asked.get("records");
  clock.advance(10_000);
  await probe.look(through);
  expect(server.asked.get("records")).toBe(asked); // each answer is paid for
  server.trim("carts");
  clock.advance(60_000);
  expect(await probe.look(through)).toEqual({ lost: 1 });
});
