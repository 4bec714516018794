// A reading of DynamoDB's streams, by the real SDK over HTTP, among answers that are none of DynamoDB's, late or broken: nothing is missing, nothing
// is taken for a shard's end.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { DynamoDouble } from "../../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../../../src/dev/dynamodb/dynamo-http.ts";
import { FAILED, THROTTLED, type Trouble } from "../../../../src/dev/dynamodb/trouble.ts";
import { dynamoConnector } from "../../../../src/source/dynamodb/connector.ts";
import { contextOf } from "../../../contract/source/source-ground.ts";
import { SourceReading } from "../../../contract/source/source-reading.ts";
import { stubCredentials } from "../../../support/dynamodb/dynamo-servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

let double: DynamoDouble;
let http: DynamoHttp;

beforeEach(async () => {
  stubCredentials();
  double = new DynamoDouble();
  http = await DynamoHttp.start(double);
  double.createTable("carts");
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await http[Symbol.asyncDispose]();
});

const put = (id: string): void => double.put("carts", { id: { S: id } });

const answer = (status: number, contentType: string, body: string): Trouble["what"] => ({
  ...{ kind: "answer", status, contentType, body },
});

test.each<Trouble["what"]>([
  answer(200, "text/html", "<html>a proxy</html>"),
  answer(200, "application/json", "{}"),
  answer(200, "application/json", '{"Records":null}'),
  answer(200, "application/x-amz-json-1.0", '{"Records":[{"eventName":"INS'),
  answer(200, "application/x-amz-json-1.0", ""),
  answer(502, "text/html", "<html>bad gateway</html>"),
  { kind: "refuse", type: "ExpiredIteratorException", message: "Iterator expired" },
  { kind: "reset" },
  { kind: "delay", ms: 300 },
  FAILED,
  THROTTLED,
])("goes on behind %j", async (what) => {
  const section = { region: "eu-west-1", endpoint: http.url, tables: ["carts"], poll: { minMs: 20, maxIdleMs: 50 } };
  const config = dynamoConnector.parse(section, "sources.shop");
  await using source = await dynamoConnector.open("shop" as never, config, contextOf({ value: undefined }));
  const reading = new SourceReading(source, undefined);
  await waitFor(async () => reading.started, { what: "it to begin" });
  put("before");
  await waitFor(async () => reading.changes.length === 1, { what: "the first change" });
  double.troubles.add({ operations: ["GetRecords"], times: 3, what });
  put("behind");
  await waitFor(async () => reading.changes.length === 2, { what: "the other change" });
  expect(reading.over).toBe(false);
  expect(reading.changes.map(({ key }) => key)).toEqual(["before", "behind"]);
  const ends = reading.messages.filter(
    (message) => message.type === "marker" && Buffer.from(message.data).includes('"ends"'),
  );
  expect(ends).toEqual([]);
  await reading.stop();
});
