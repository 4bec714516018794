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
  let serving = server;
  /** Another server answers from now on. */
  const serveBy = (other: ScriptedDynamo): void => {
    serving = other;
  };
  const connector = createDynamoConnector({ connect: async () => serving.connect(), clock: time.clock });
  const configOf = (more: object) => connector.parse({ tables: ["carts"], ...section, ...more }, "sources.shop");
  const memory: Memory = { value: undefined };
  const open = (more: object) => time.when(connector.open("shop" as SourceId, configOf(more), contextOf(memory, true)));
  const until = (what: () => boolean): Promise<void> =>
    time.when(
      (async () => {
        for (let left = 50_000; !what(); left--) {
          if (left === 0) throw new Error("it never came to that");
          await time.clock.sleep(10);
        }
      })(),
    );
  /** @param more of the configuration, for this reading alone */
  const read = async (from?: Positions, more: object = {}) => {
    const source = await open(more);
    const reading = new SourceReading(source, from);
    await until(() => reading.started || reading.over);
    return { source, reading };
  };
  return { time, server, connector, configOf, memory, serveBy, until, read };
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
