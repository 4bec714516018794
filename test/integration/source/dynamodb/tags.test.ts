// Tables by tag, asked of servers by the real SDK.

import { CreateTableCommand, type Tag } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { SourceId } from "../../../../src/event/source-id.ts";
import { dynamoConnector } from "../../../../src/source/dynamodb/connector.ts";
import { type DynamoServer, dynamoTargets, stubCredentials } from "../../../support/dynamodb/dynamo-servers.ts";

describe.each(dynamoTargets)("on %s", (_, absent, start) => {
  let server: DynamoServer;

  beforeAll(async () => {
    if (absent) return;
    stubCredentials();
    server = await start();
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    vi.unstubAllEnvs();
  });

  const make = (TableName: string, Tags: Tag[]) =>
    server.client.send(
      new CreateTableCommand({
        ...{ TableName, Tags, BillingMode: "PAY_PER_REQUEST" },
        AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
        KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
        StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
      }),
    );

  test.skipIf(absent)(
    "of the tables that a pattern names those with all tags are read, and one that is named",
    async () => {
      const tag = (Key: string, Value: string): Tag => ({ Key, Value });
      await make("both", [tag("team", "orders"), tag("stage", "live"), tag("more", "")]);
      await make("one", [tag("team", "orders")]);
      await make("none", []);
      await make("named", []);
      const config = dynamoConnector.parse(
        { endpoint: server.url, tables: ["*", "named"], tags: { team: "orders", stage: "live" } },
        "sources.shop",
      );
      const read = await dynamoConnector.collections("shop" as SourceId, config);
      expect(read.map(({ name }) => name)).toEqual(["both", "named"]);
    },
  );
});
