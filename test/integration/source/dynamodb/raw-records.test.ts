// Answers with records, by the real SDK from a double behind a port: what it would drop is there, and no answer is another one's.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { DynamoDouble } from "../../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../../../src/dev/dynamodb/dynamo-http.ts";
import { THROTTLED } from "../../../../src/dev/dynamodb/trouble.ts";
import type { DynamoApi } from "../../../../src/source/dynamodb/client/api.ts";
import { connectDynamo } from "../../../../src/source/dynamodb/client/connect.ts";

let double: DynamoDouble;
let http: DynamoHttp;
let api: DynamoApi;

beforeEach(async () => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "key");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
  double = new DynamoDouble();
  http = await DynamoHttp.start(double);
  api = await connectDynamo({ region: "eu-west-1", endpoint: http.url, profile: undefined });
});

afterEach(async () => {
  api.close();
  await http[Symbol.asyncDispose]();
  vi.unstubAllEnvs();
});

/** At the oldest record of a table's one shard. */
async function iteratorOf(table: string): Promise<string> {
  const { stream } = await api.describeTable(table);
  const arn = stream?.arn ?? "";
  const [shard] = (await api.describeStream(arn, {})).shards;
  return api.iterator(arn, shard?.id ?? "", { at: "horizon" });
}

test("An attribute that is called __proto__ keeps its value, at any depth", async () => {
  double.createTable("carts");
  const item = '{"id":{"S":"a"},"__proto__":{"M":{"__proto__":{"N":"12345678901234567890123456789012345678"}}}}';
  double.put("carts", JSON.parse(item));
  const { records } = await api.records(await iteratorOf("carts"), 1000);
  expect(JSON.stringify(records[0]?.dynamodb.NewImage)).toBe(item);
});

test("Answers that come at once are each that of its question, also beside a refusal", async () => {
  const tables = Array.from({ length: 12 }, (_, nth) => `t${nth}`);
  for (const table of tables) {
    double.createTable(table);
    double.put(table, { id: { S: table } });
  }
  const iterators = await Promise.all(tables.map(iteratorOf));
  const refused = iterators[5] as string;
  double.troubles.add({ operations: ["GetRecords"], naming: refused, what: THROTTLED });
  const answers = await Promise.all(iterators.map((one) => api.records(one, 1000).catch((error: unknown) => error)));
  const names = answers.map((answer) => (answer instanceof Error ? answer.message : JSON.stringify(answer)));
  for (const [nth, table] of tables.entries()) {
    expect(names[nth]).toContain(nth === 5 ? "ProvisionedThroughputExceeded" : `{"id":{"S":"${table}"}}`);
  }
});

test("The bytes of an answer are those that the server sent", async () => {
  double.createTable("carts");
  double.put("carts", { id: { S: "a" }, text: { S: "ä".repeat(1000) } });
  const iterator = await iteratorOf("carts");
  const before = http.sentBytes;
  const { bytes } = await api.records(iterator, 1000);
  expect(bytes).toBe(http.sentBytes - before);
});
