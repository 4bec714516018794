// A server of DynamoDB's protocol for the contract, by the real SDK: read through a gate, so that requests can break. Two tables,
// each a line of its own.

import type { Connector } from "../../../src/source/connector.ts";
import { dynamoConnector } from "../../../src/source/dynamodb/connector.ts";
import { TRIES } from "../../../src/source/dynamodb/reader/poll-shard.ts";
import { useTestCredentials } from "../../support/dynamodb/dynamo-target.ts";
import { HttpGate } from "../../support/dynamodb/http-gate.ts";
import { realTime } from "../../support/virtual-time.ts";
import type { SourceServer } from "./source-server.ts";

const TABLES = ["orders-north", "orders-south"] as const;
const [FIRST] = TABLES;

/** Tables with the key `id`, each with its stream. */
export interface DynamoShop extends AsyncDisposable {
  readonly url: string;
  readonly region: string;
  /** What the names of its tables begin with. */
  readonly prefix: string;
  put(table: string, id: string, text: string): Promise<void>;
  /** Writes into the first table what can never travel; absent where the server lets nobody. */
  readonly poison?: (id: string) => Promise<void>;
  loseLog(table: string): Promise<void>;
  /** Tables, their streams, and how much there is in them. */
  contents(): Promise<unknown>;
  /** Makes a table without a stream. */
  createPlain(table: string): Promise<void>;
}

/** What is held against the contract. */
export interface DynamoTarget {
  fresh(tables: readonly string[]): Promise<DynamoShop>;
  /** Why its log cannot be lost, where it cannot. */
  readonly keepsLog?: string;
}

/**
 * A reading gives up at so many requests in a row that break, of one shard: one of the two shards has them all, whoever asks, and
 * those that are left then are too few to end the next reading.
 */
const BREAKS = TABLES.length * (TRIES - 1) + 1;

export function dynamoHttpServer({ fresh, keepsLog }: DynamoTarget): SourceServer {
  useTestCredentials();
  const region = "eu-west-1";
  return {
    connector: dynamoConnector as Connector<unknown>,
    time: realTime,
    lines: TABLES.length,
    ...(keepsLog === undefined ? {} : { keepsLog }),
    nowhere: () => ({ region, endpoint: "http://127.0.0.1:1", tables: ["orders"] }),
    wrong: [
      [{ region, tables: ["a b"] }, ".tables"],
      [{ region, endpoint: "dynamodb.example.com", tables: ["orders"] }, ".endpoint"],
    ],
    endIsOfFetched: true,
    bounds: { chunkBytes: 1024 * 1024, aheadBytes: 24 * 1024 * 1024 },
    fresh: async () => {
      const shop = await fresh(TABLES);
      const gate = await HttpGate.start(shop.url);
      const { region, prefix } = shop;
      const read = { region, endpoint: gate.url, tables: [`${prefix}orders-*`], poll: { minMs: 20, maxIdleMs: 100 } };
      return {
        section: (options) => ({ ...read, ...options }),
        commit: async (line, rows) => {
          for (const { key, text = "" } of rows) await shop.put(TABLES[line] ?? FIRST, key, text);
        },
        cut: async () => gate.break(BREAKS),
        loseLog: () => shop.loseLog(FIRST),
        sentBytes: async () => gate.bytesDown,
        contents: () => shop.contents(),
        poison: async (before, behind) => {
          await shop.put(FIRST, before, "");
          await shop.poison?.("0-poison");
          await shop.put(FIRST, behind, "");
        },
        leaveOut: () => shop.createPlain("orders-without-stream"),
        [Symbol.asyncDispose]: async () => {
          await gate[Symbol.asyncDispose]();
          await shop[Symbol.asyncDispose]();
        },
      };
    },
  };
}
