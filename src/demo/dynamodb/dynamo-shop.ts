// The demo's shop on DynamoDB: on our own double of it, whose shards split and end while the shop is open.

import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDouble } from "../../dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../dev/dynamodb/dynamo-http.ts";
import type { Automation } from "../../index.ts";
import type { Latency } from "../latency.ts";
import type { IndependentLog, ShopDatabase } from "../shop-database.ts";
import { listeners, shopAutomations } from "./automations.ts";
import { EFFECTS, LEDGER, ShopBooks } from "./books.ts";
import { MemoryLog, numberIn } from "./independent-log.ts";
import { liveOn } from "./shard-life.ts";
import { OUTBOX, products, TABLES } from "./shop.ts";
import { writeShop } from "./writer.ts";

/** In this process, and in memory alone. */
export async function openDynamoShop(): Promise<ShopDatabase> {
  const double = new DynamoDouble();
  makeTables(double);
  const http = await DynamoHttp.start(double);
  // The worker takes credentials as it would at AWS; the double looks at none.
  process.env.AWS_ACCESS_KEY_ID ??= "demo";
  process.env.AWS_SECRET_ACCESS_KEY ??= "demo";
  const { region } = double.state.settings;
  const client = new DynamoDBClient({ region, endpoint: http.url });
  const books = new ShopBooks(client);
  return {
    server: "our own double of DynamoDB, which is no DynamoDB; its shards split and end all the time",
    source: { kind: "dynamodb", region, endpoint: http.url, tables: [...TABLES], outbox: { table: OUTBOX } },
    dataDir: undefined,
    listeners,
    momentOf: (header) => numberIn(header("Cdc-Pos")),
    order: "row",
    automations: (latency: Latency): readonly Automation[] => shopAutomations(books, latency),
    openLog: async (): Promise<IndependentLog> => new MemoryLog(double.state),
    ledger: () => books.read(),
    write: async (signal) => {
      const over = new AbortController();
      const life = liveOn(double, over.signal);
      try {
        await writeShop(client, books, signal);
      } finally {
        over.abort();
        await life;
      }
    },
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await http[Symbol.asyncDispose]();
    },
  };
}

/** What is there before a stream begins is no event. */
function makeTables(double: DynamoDouble): void {
  for (const table of [...TABLES, LEDGER, EFFECTS]) double.createTable(table, { stream: false });
  double.answer("DynamoDB_20120810", "CreateTable", {
    TableName: OUTBOX,
    KeySchema: [
      { AttributeName: "aggregateid", KeyType: "HASH" },
      { AttributeName: "aggregatetype", KeyType: "RANGE" },
    ],
    AttributeDefinitions: [
      { AttributeName: "aggregateid", AttributeType: "S" },
      { AttributeName: "aggregatetype", AttributeType: "S" },
    ],
  });
  for (const product of products()) double.put("products", product);
  for (const table of [...TABLES, OUTBOX]) double.life.enable(table);
}
