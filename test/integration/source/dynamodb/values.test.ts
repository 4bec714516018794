// Items of every kind, written by the SDK and as plain JSON, from the server to the stream.

import { randomBytes } from "node:crypto";
import { CreateTableCommand, DeleteItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startWorker, type Worker } from "../../../../src/app.ts";
import type { NatsServer } from "../../../../src/dev/nats-server.ts";
import { readStream, type StreamEvent } from "../../../support/bus/stream-events.ts";
import { type DynamoServer, dynamoTargets, REGION, stubCredentials } from "../../../support/dynamodb/dynamo-servers.ts";
import { freshNats, missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

describe.each(dynamoTargets)("on %s", (target, absent, start) => {
  const skip = absent || missing("nats");
  /** Of moto, a key's bytes come encoded twice. */
  const type = target === "moto" ? ("S" as const) : ("B" as const);
  let nats: NatsServer;
  let server: DynamoServer;
  let worker: Worker;

  beforeAll(async () => {
    if (skip) return;
    stubCredentials();
    nats = await freshNats();
    server = await start();
    await server.client.send(
      new CreateTableCommand({
        ...{ TableName: "things", BillingMode: "PAY_PER_REQUEST" },
        AttributeDefinitions: [
          { AttributeName: "b", AttributeType: type },
          { AttributeName: "n", AttributeType: "N" },
        ],
        KeySchema: [
          { AttributeName: "b", KeyType: "HASH" },
          { AttributeName: "n", KeyType: "RANGE" },
        ],
        StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
      }),
    );
    const section = { kind: "dynamodb", endpoint: server.url, tables: ["things"], poll: { minMs: 20, maxIdleMs: 50 } };
    worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: { plain: section, typed: { ...section, encoding: "dynamodb-json" } },
    });
    await waitFor(() => worker.status().sources.every(({ state }) => state === "running"), { what: "the worker" });
  });

  afterAll(async () => {
    await worker?.stop();
    await server?.[Symbol.asyncDispose]();
    vi.unstubAllEnvs();
  });

  /** By nothing that knows of attributes. @param item JSON */
  async function put(item: string): Promise<void> {
    const answer = await fetch(server.url, {
      method: "POST",
      headers: {
        ...{ "content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.PutItem" },
        authorization: `AWS4-HMAC-SHA256 Credential=key/20260101/${REGION}/dynamodb/aws4_request, SignedHeaders=host, Signature=0`,
      },
      body: `{"TableName":"things","Item":${item}}`,
    });
    expect([answer.status, await answer.text()]).toEqual([200, expect.anything()]);
  }

  const until = (source: string, subject: string): Promise<readonly StreamEvent[]> =>
    waitFor(
      async () => {
        const stream = await readStream(nats.url, `CDC_${source.toUpperCase()}`);
        const mine = stream.filter((one) => one.header("ce-subject") === `_.things/${subject}`);
        return mine.length > 0 && mine;
      },
      { what: `the item ${subject} of ${source}` },
    );

  test.skipIf(skip)("each kind of value arrives, in each encoding, under one subject", async () => {
    const nested = `${'{"L":['.repeat(15)}{"S":"deep"}${"]}".repeat(15)}`;
    const item =
      `{"b":{"${type}":"AAH/"},` +
      '"n":{"N":"12345678901234567890123456789012345678"},"__proto__":{"S":"own"},"constructor":{"M":{"__proto__":{"N":"-9007199254740993"}}},' +
      `"a\\u0000b":{"S":"\\u0000"},"empty":{"S":""},"set":{"NS":["10","9","0.5"]},"bytes":{"BS":["/w==","AA=="]},"none":{"NULL":true},"yes":{"BOOL":true},"deep":${nested}}`;
    await put(item);
    const subject = "AAH/,12345678901234567890123456789012345678";
    const [plain] = await until("plain", subject);
    const [typed] = await until("typed", subject);
    const image = JSON.parse(JSON.stringify(JSON.parse(plain?.text ?? "").after));
    const expected =
      '{"b":"AAH/","n":"12345678901234567890123456789012345678","__proto__":"own","constructor":{"__proto__":"-9007199254740993"},' +
      `"a\\u0000b":"\\u0000","empty":"","set":[0.5,9,10],"bytes":["AA==","/w=="],"none":null,"yes":true,"deep":${"[".repeat(15)}"deep"${"]".repeat(15)}}`;
    const sorted = (json: string): unknown => Object.entries(JSON.parse(json)).sort(([a], [b]) => (a < b ? -1 : 1));
    expect(sorted(JSON.stringify(image))).toEqual(sorted(expected));
    expect(JSON.parse(plain?.text ?? "").key).toEqual({ b: "AAH/", n: "12345678901234567890123456789012345678" });
    const { key, after } = JSON.parse(typed?.text ?? "");
    expect(key).toEqual({ b: { [type]: "AAH/" }, n: { N: "12345678901234567890123456789012345678" } });
    const tagged = JSON.parse(item) as Record<string, Record<string, unknown>>;
    for (const name of Object.getOwnPropertyNames(tagged).filter((one) => one !== "set" && one !== "bytes"))
      expect(Object.getOwnPropertyDescriptor(after, name)?.value).toEqual(
        Object.getOwnPropertyDescriptor(tagged, name)?.value,
      );
    expect(Object.keys(after.set)).toEqual(["NS"]);
  });

  test.skipIf(skip)("an item of 400 KB that changes is one event with both images, in the object store", async () => {
    const b = type === "B" ? { B: Buffer.from("large") } : { S: "bGFyZ2U=" };
    const key = { b, n: { N: "1" } };
    const noise = (): string => randomBytes(200_000).toString("hex");
    const [one, two] = [noise(), noise()];
    for (const text of [one, two])
      await server.client.send(new PutItemCommand({ TableName: "things", Item: { ...key, text: { S: text } } }));
    await server.client.send(new DeleteItemCommand({ TableName: "things", Key: key }));
    const ofBoth = await waitFor(
      async () => {
        const all = await Promise.all(["plain", "typed"].map((source) => until(source, "bGFyZ2U=,1")));
        return all.every(({ length }) => length === 3) && all;
      },
      { what: "three events of each source" },
    );
    for (const [nth, events] of ofBoth.entries()) {
      const bodies = events.map(({ text }) => JSON.parse(text));
      const image = (text: string): object => ({ text: nth === 0 ? text : { S: text } });
      expect(bodies.map(({ op, changed }) => [op, changed])).toEqual([
        ["created", undefined],
        ["updated", ["text"]],
        ["deleted", undefined],
      ]);
      expect(bodies[1]).toMatchObject({ before: image(one), after: image(two) });
      expect(bodies[2]).toMatchObject({ before: image(two), after: null });
    }
  });
});
