// A DynamoDB that a test writes down, for the contract: two tables, each a line of its own.

import type { Connector } from "../../../src/source/connector.ts";
import { ServerError } from "../../../src/source/dynamodb/client/errors.ts";
import { createDynamoConnector } from "../../../src/source/dynamodb/connector.ts";
import { ScriptedDynamo, scriptedDynamos } from "../../support/dynamodb/scripted-dynamo.ts";
import type { TestTime } from "../../support/virtual-time.ts";
import type { SourceServer } from "./source-server.ts";

const TABLES = ["orders-north", "orders-south"] as const;
const endpointOf = (name: string): string => `http://${name}`;

/** For how long a shard that is closed is listed. */
const LISTED_MS = 60_000;

let made = 0;

export function dynamoServer(time: TestTime): SourceServer {
  const connector = createDynamoConnector({
    connect: async ({ endpoint = "" }) => {
      const server = scriptedDynamos.get(endpoint.replace("http://", ""));
      if (server !== undefined) return server.connect();
      const away = async (): Promise<never> => {
        throw new ServerError("away", "nobody answers");
      };
      return {
        ...{
          describeTable: away,
          listTables: away,
          listStreams: away,
          tags: away,
          expiry: away,
          describeStream: away,
          iterator: away,
          records: away,
          scan: away,
        },
        close: () => {},
      };
    },
    clock: time.clock,
  });
  return {
    connector: connector as Connector<unknown>,
    time,
    lines: TABLES.length,
    nowhere: () => ({ endpoint: "http://nowhere", tables: ["orders"] }),
    wrong: [
      [{ tables: [] }, ".tables"],
      [{ tables: ["!orders"] }, ".tables"],
      [{ tables: ["orders"], start: "then" }, ".start"],
      [{ tables: ["orders"], poll: { minMs: 500, maxIdleMs: 250 } }, ".poll"],
    ],
    endIsOfFetched: true,
    bounds: { chunkBytes: 1024 * 1024, aheadBytes: 8 * 1024 * 1024 },
    fresh: async () => {
      const server = new ScriptedDynamo(`dynamo${++made}`, time.clock);
      for (const table of TABLES) server.createTable(table);
      const [first] = TABLES;
      return {
        section: (options) => ({ endpoint: endpointOf(server.name), tables: ["orders-*"], ...options }),
        commit: async (line, rows) => {
          for (const { key, text } of rows) server.put(TABLES[line] ?? first, key, text);
        },
        roll: async (line) => {
          const table = TABLES[line] ?? first;
          server.roll(table);
          server.forgetClosed(table, LISTED_MS);
        },
        cut: async () => server.cut(),
        loseLog: async () => server.trim(first),
        sentBytes: async () => server.sentBytes,
        contents: async () =>
          server.streams.map(({ arn, shards }) => [arn, shards.map(({ records }) => records.length)]),
        poison: async (before, behind) => {
          server.put(first, before);
          server.put(first, "0-poison", "", { NewImage: { id: { X: "of a type that nobody knows" } } });
          server.put(first, behind);
        },
        leaveOut: async () => server.createTable("orders-without-stream", { stream: false }),
        [Symbol.asyncDispose]: async () => {
          scriptedDynamos.delete(server.name);
        },
      };
    },
  };
}
