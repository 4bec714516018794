// Items at rest, by the real SDK from servers of the protocol: rows are what events of the same items are, over many pages.

import { BatchWriteItemCommand, CreateTableCommand, DeleteTableCommand } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { CopiedRow } from "../../../../src/event/source-event.ts";
import type { SourceId } from "../../../../src/event/source-id.ts";
import type { RowCopier, Slice } from "../../../../src/source/capabilities.ts";
import { dynamoConnector } from "../../../../src/source/dynamodb/connector.ts";
import { contextOf, type Memory } from "../../../contract/source/source-ground.ts";
import { SourceReading } from "../../../contract/source/source-reading.ts";
import { type DynamoServer, dynamoTargets, REGION, stubCredentials } from "../../../support/dynamodb/dynamo-servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

const never = new AbortController().signal;
const LARGE = 12;
const SMALL = 60;
/** The SDK would drop what is called __proto__. */
const ODD =
  '{"a":{"S":"odd,ü"},"n":{"N":"-12345678901234567890123456789012345678"},"__proto__":{"M":{"__proto__":{"S":"own"}}},' +
  '"set":{"NS":["10","9","0.5"]},"bytes":{"B":"AAH/"},"none":{"NULL":true},"list":{"L":[{"BOOL":false},{"N":"1E-30"}]}}';

describe.each(dynamoTargets)("on %s", (_, absent, start) => {
  let server: DynamoServer;

  beforeAll(async () => {
    if (absent) return;
    stubCredentials();
    server = await start();
    await server.client.send(
      new CreateTableCommand({
        ...{ TableName: "things", BillingMode: "PAY_PER_REQUEST" },
        AttributeDefinitions: [
          { AttributeName: "a", AttributeType: "S" },
          { AttributeName: "n", AttributeType: "N" },
        ],
        KeySchema: [
          { AttributeName: "a", KeyType: "HASH" },
          { AttributeName: "n", KeyType: "RANGE" },
        ],
        StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
      }),
    );
  });

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    vi.unstubAllEnvs();
  });

  async function write(): Promise<void> {
    const item = (nth: number) => ({
      a: { S: `i${nth % 7}` },
      n: { N: String(nth) },
      text: { S: nth < LARGE ? "x".repeat(300_000) : `text ${nth}` },
    });
    for (let nth = 0; nth < LARGE + SMALL; nth += 6) {
      const things = Array.from({ length: 6 }, (_, more) => ({ PutRequest: { Item: item(nth + more) } }));
      await server.client.send(new BatchWriteItemCommand({ RequestItems: { things } }));
    }
    const answer = await fetch(server.url, {
      method: "POST",
      headers: {
        ...{ "content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.PutItem" },
        authorization: `AWS4-HMAC-SHA256 Credential=key/20260101/${REGION}/dynamodb/aws4_request, SignedHeaders=host, Signature=0`,
      },
      body: `{"TableName":"things","Item":${ODD}}`,
    });
    expect(answer.status).toBe(200);
  }

  async function open(section: object) {
    const memory: Memory = { value: undefined };
    const config = dynamoConnector.parse(
      {
        ...{ endpoint: server.url, region: REGION, tables: ["things"], start: "earliest" },
        ...{ poll: { minMs: 20, maxIdleMs: 50 }, scan: { streamDelay: "200ms" }, ...section },
      },
      "sources.shop",
    );
    const source = await dynamoConnector.open("shop" as SourceId, config, contextOf(memory));
    const copier = source.copier as RowCopier;
    const rows = async (): Promise<readonly CopiedRow[]> => {
      const [target] = await copier.targets();
      if (target === undefined) throw new Error("no table");
      const all: CopiedRow[] = [];
      for (let after: Readonly<Record<string, unknown>> | undefined; ; ) {
        const slice: Slice = await copier.readSlice({
          ...{ target, after, maxRows: 1000, maxBytes: 1e7, backfill: 1, signal: never },
        });
        all.push(...slice.rows);
        if (slice.isLast) return all;
        after = JSON.parse(JSON.stringify(slice.after(slice.rows.length - 1)));
      }
    };
    return { source, reading: new SourceReading(source), rows };
  }

  test.skipIf(absent)("rows are what events of the same items say, each once, in each encoding", async () => {
    await write();
    for (const encoding of ["json", "dynamodb-json"]) {
      const { source, reading, rows } = await open({ encoding });
      await waitFor(() => reading.changes.length === LARGE + SMALL + 1, { what: "the events" });
      const copied = await rows();
      expect(copied.map(({ key }) => key).sort()).toEqual(reading.changes.map(({ key }) => key).sort());
      const byKey = new Map(copied.map((row) => [row.key, row]));
      for (const { key, lane, data } of reading.changes) {
        const row = byKey.get(key);
        const event = Buffer.from(data).toString();
        expect(lane).toBe(row?.lane);
        expect(sorted(Buffer.from(row?.data ?? "").toString())).toEqual(sorted(event.replace('"created"', '"read"')));
      }
      await reading.stop();
      await source[Symbol.asyncDispose]();
    }
  });

  test.skipIf(absent)("a table that is deleted ends its copy", async () => {
    const { source, reading, rows } = await open({});
    await waitFor(() => reading.started, { what: "the source" });
    await server.client.send(new DeleteTableCommand({ TableName: "things" }));
    expect(await rows()).toEqual([]);
    await reading.stop();
    await source[Symbol.asyncDispose]();
  });
});

/** JSON whose members' order means nothing; members that are called __proto__ count as others do. */
function sorted(json: string): unknown {
  return JSON.parse(json, (_, value) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
      : value,
  );
}
