// A DynamoDB source over a server that a test writes down, in virtual time.

import type { Positions } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { createDynamoConnector } from "../../../src/source/dynamodb/connector.ts";
import { contextOf, type Memory } from "../../contract/source/source-ground.ts";
import { SourceReading } from "../../contract/source/source-reading.ts";
import { VirtualTime } from "../virtual-time.ts";
import { ScriptedDynamo } from "./scripted-dynamo.ts";

let made = 0;

/** A server with one table, and a source over it. @param section the source's configuration */
export function dynamoGround(section: object = {}) {
  const time = new VirtualTime();
  const server = new ScriptedDynamo(`unit${++made}`, time.clock);
  server.createTable("carts");
  const connector = createDynamoConnector({ connect: async () => server.connect(), clock: time.clock });
  const config = connector.parse({ tables: ["carts"], ...section }, "sources.shop");
  const memory: Memory = { value: undefined };
  const open = () => time.when(connector.open("shop" as SourceId, config, contextOf(memory, true)));
  const until = (what: () => boolean): Promise<void> =>
    time.when(
      (async () => {
        for (let left = 50_000; !what(); left--) {
          if (left === 0) throw new Error("it never came to that");
          await time.clock.sleep(10);
        }
      })(),
    );
  const read = async (from?: Positions) => {
    const source = await open();
    const reading = new SourceReading(source, from);
    await until(() => reading.started || reading.over);
    return { source, reading };
  };
  return { time, server, memory, until, read };
}

export function keysOf(reading: SourceReading): readonly string[] {
  return reading.changes.map(({ key }) => key);
}

/** What markers of shards say, in their order. */
export function shardsOf(reading: SourceReading): readonly string[] {
  return reading.messages.flatMap((message) => {
    if (message.type !== "marker") return [];
    const { state, shard } = JSON.parse(Buffer.from(message.data).toString());
    return [`${shard.slice(-1)} ${state}`];
  });
}
