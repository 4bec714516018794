// Events out of an application with DynamoDB: written in its own TransactWriteItems by the SDK, and one message each in the stream.

import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  CreateTableCommand,
  DeleteItemCommand,
  type KeySchemaElement,
  PutItemCommand,
  type TransactWriteItem,
  TransactWriteItemsCommand,
  UpdateItemCommand,
  UpdateTimeToLiveCommand,
} from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startWorker, type Worker } from "../../../../src/app.ts";
import { automation } from "../../../../src/automation/define/automation.ts";
import { event } from "../../../../src/automation/define/event-trigger.ts";
import type { NatsServer } from "../../../../src/dev/nats-server.ts";
import type { DomainEvent } from "../../../../src/event/parse-domain-event.ts";
import { dynamoOutbox } from "../../../../src/outbox.ts";
import { readStream, type StreamEvent } from "../../../support/bus/stream-events.ts";
import {
  type DynamoServer,
  dynamoTargets,
  type startDouble,
  stubCredentials,
} from "../../../support/dynamodb/dynamo-servers.ts";
import { runCommand } from "../../../support/process/run-command.ts";
import { freshNats, missing, scratchDir } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

describe.each(dynamoTargets)("on %s, an event of the outbox", (target, absent, start) => {
  const skip = absent || missing("nats");
  let nats: NatsServer;
  let server: DynamoServer;
  let worker: Worker;
  const shipped: DomainEvent[] = [];
  const box = dynamoOutbox({ table: "outbox" });
  /** Of moto, iterators that are open see nothing more once a transaction was refused. */
  const mayRefuse = target !== "moto";

  const createTable = (name: string, ...keys: readonly [string, ...string[]]) =>
    server.client.send(
      new CreateTableCommand({
        TableName: name,
        BillingMode: "PAY_PER_REQUEST",
        AttributeDefinitions: keys.map((AttributeName) => ({ AttributeName, AttributeType: "S" as const })),
        KeySchema: keys.map(
          (AttributeName, nth): KeySchemaElement => ({ AttributeName, KeyType: nth === 0 ? "HASH" : "RANGE" }),
        ),
        StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
      }),
    );

  beforeAll(async () => {
    if (skip) return;
    stubCredentials();
    nats = await freshNats();
    server = await start();
    await createTable("orders", "id");
    await createTable("outbox", "aggregateid", "aggregatetype");
    const poll = { minMs: 20, maxIdleMs: 50 };
    worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: {
        shop: { kind: "dynamodb", endpoint: server.url, tables: ["orders"], outbox: { table: "outbox" }, poll },
      },
      automations: [
        automation("ship", { on: event("order.shipped") }, async ({ event: one }) => {
          shipped.push(one);
        }),
      ],
    });
    await waitFor(() => worker.status().sources.every(({ state }) => state === "running"), { what: "the worker" });
  });

  afterAll(async () => {
    await worker?.stop();
    await server?.[Symbol.asyncDispose]();
    vi.unstubAllEnvs();
  });

  const order = (id: string, total = "1"): TransactWriteItem => ({
    Put: { TableName: "orders", Item: { id: { S: id }, total: { N: total } } },
  });
  const transact = (...TransactItems: TransactWriteItem[]) =>
    server.client.send(new TransactWriteItemsCommand({ TransactItems }));

  /** All that is there, once the last of it is: by subjects and keys. */
  const until = (last: RegExp): Promise<readonly StreamEvent[]> =>
    waitFor(
      async () => {
        const stream = await readStream(nats.url, "CDC_SHOP");
        return stream.some((one) => last.test(`${one.subject} ${one.header("ce-subject")}`)) && stream;
      },
      { what: `an event ${last}` },
    );

  test.skipIf(skip)("is in the stream once, and never where its transaction was refused", async () => {
    const key = `o-${randomUUID()}`;
    const placed = await box.emit("order.placed", {
      ...{ key, data: { "a.b": 1, empty: "", list: [1.5, null], d: "süß\u2028" }, headers: { tenant: "süd" } },
    });
    await transact(order(key), placed.item);
    const gone = await box.emit("order.gone", { key, data: null });
    const refused: TransactWriteItem = {
      Put: { TableName: "orders", Item: { id: { S: key } }, ConditionExpression: "attribute_not_exists(id)" },
    };
    if (mayRefuse)
      await expect(transact(refused, gone.item)).rejects.toMatchObject({ name: "TransactionCanceledException" });
    const closed = await box.emit("order.closed", { key, data: null });
    await transact(order(key, "2"), closed.item);
    const stream = await until(new RegExp(`order.closed.* order/${key}$`));
    const events = stream.filter(({ subject }) => subject.startsWith("events."));
    const mine = events.filter((one) => one.header("ce-subject") === `order/${key}`);

    expect(mine.map(({ subject }) => subject.replace(/\.p\d\d$/, ""))).toEqual([
      "events.shop.order.placed",
      "events.shop.order.closed",
    ]);
    expect(mine.map((one) => one.header("ce-id"))).toEqual([placed.id, closed.id]);
    expect(mine[0]?.text).toBe('{"a.b":1,"empty":"","list":[1.5,null],"d":"süß\u2028"}');
    expect(mine[0]?.header("tenant")).toBe("s%C3%BCd");
    expect(mine[0]?.header("Cdc-Part")).toMatch(/^outbox\//);
    expect(["Cdc-Tx", "Cdc-Tx-Last"].map((name) => mine[0]?.header(name))).toEqual([undefined, undefined]);
    expect(stream.filter(({ subject }) => subject.includes("._.outbox."))).toEqual([]);
    await until(new RegExp(`orders.updated.*/${key}$`));
  });

  test.skipIf(skip)("has a table that millrace sql outbox prints the commands for", async () => {
    const cwd = await scratchDir();
    const section = { kind: "dynamodb", endpoint: server.url, tables: ["orders"], outbox: { table: "outbox" } };
    const config = { bus: { servers: nats.url, fsync: "always" }, sources: { shop: section } };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
    const { code, stdout } = await runCommand(["sql", "outbox", "shop"], { cwd });
    const commands = stdout.split("\n").filter((line) => line.startsWith("aws "));
    expect(commands.map((line) => line.split(" ").slice(0, 3).join(" "))).toEqual([
      ...["aws dynamodb create-table", "aws dynamodb wait", "aws dynamodb update-time-to-live"],
    ]);
    expect(commands[0]).toContain("AttributeName=aggregateid,KeyType=HASH AttributeName=aggregatetype,KeyType=RANGE");
    expect(commands.every((line) => line.includes(`--endpoint-url ${server.url}`))).toBe(true);
    expect(code).toBe(0);
  });

  test.skipIf(skip)(
    "comes in the order of its aggregate's events, however soon the item goes, and through splits",
    async () => {
      const run = randomUUID();
      const emitted = new Map<string, string[]>();
      const write = async (writer: number): Promise<void> => {
        const key = `${run}-${writer}`;
        const ids: string[] = [];
        emitted.set(key, ids);
        for (let nth = 0; nth < 20; nth++) {
          const { id, item } = await box.emit("bulk.moved", { key, data: { nth } });
          ids.push(id);
          await transact(order(key, String(nth)), item);
          const Key = { aggregateid: { S: key }, aggregatetype: { S: "bulk" } };
          if (writer === 0 && nth % 7 === 6 && "double" in server)
            (server as Awaited<ReturnType<typeof startDouble>>).double.life.roll("outbox", { children: 2 });
          if (nth % 3 === 0) await server.client.send(new DeleteItemCommand({ TableName: "outbox", Key }));
          if (nth % 3 !== 1) continue;
          const seen = { UpdateExpression: "SET seen = :y", ExpressionAttributeValues: { ":y": { BOOL: true } } };
          await server.client.send(new UpdateItemCommand({ TableName: "outbox", Key, ...seen }));
        }
        const { id, item } = await box.emit("bulk.ended", { key, data: null });
        ids.push(id);
        await transact(item);
      };
      // moto breaks under two writes at once.
      if (target === "moto") for (const writer of [0, 1, 2]) await write(writer);
      else await Promise.all([0, 1, 2].map(write));
      const all = (stream: readonly StreamEvent[], key: string): readonly (string | undefined)[] =>
        stream.filter((one) => one.header("ce-subject") === `bulk/${key}`).map((one) => one.header("ce-id"));
      // Two aggregates are in shards of their own: each is waited for.
      for (const [key, ids] of emitted)
        expect(all(await until(new RegExp(`bulk.ended.* bulk/${key}$`)), key)).toEqual(ids);
    },
  );

  test.skipIf(skip || !mayRefuse)(
    "is refused with its transaction where it is there already, or is the second of its aggregate",
    async () => {
      const key = `o-${randomUUID()}`;
      const { id, item } = await box.emit("order.placed", { key, data: 1 });
      await transact(order(key), item);
      await expect(transact(order(key, "2"), item)).rejects.toMatchObject({ name: "TransactionCanceledException" });
      const [one, two] = [await box.emit("order.a", { key, data: 1 }), await box.emit("order.b", { key, data: 2 })];
      await expect(transact(one.item, two.item)).rejects.toThrow(/multiple operations on one item/);
      await transact(one.item);
      const stream = await until(new RegExp(`order.a.* order/${key}$`));
      const mine = stream.filter((each) => each.header("ce-subject") === `order/${key}`);
      expect(mine.map((each) => each.header("ce-id"))).toEqual([id, one.id]);
    },
  );

  test.skipIf(skip)("that is none is a dead letter with a marker in its place, and what follows comes", async () => {
    const key = `o-${randomUUID()}`;
    const Keys = { aggregateid: { S: key }, aggregatetype: { S: "order" } };
    await server.client.send(
      new PutItemCommand({ TableName: "outbox", Item: { ...Keys, id: { S: randomUUID() }, type: { S: "secret" } } }),
    );
    const kept = await box.emit("order.kept", { key, data: null });
    await transact(kept.item);
    const stream = await until(new RegExp(`order.kept.* order/${key}$`));
    const at = stream.findIndex(({ subject }) => subject === "meta.shop.poison");
    expect(JSON.parse(stream[at]?.text ?? "")).toMatchObject({
      ...{ code: "OUTBOX_MALFORMED", namespace: "_", collection: "outbox" },
      message: expect.stringContaining("it has no payload"),
    });
    expect(stream.findIndex((one) => one.header("ce-id") === kept.id)).toBeGreaterThan(at);
    const dead = await readStream(nats.url, "MILLRACE_DEAD");
    expect(dead.map(({ subject }) => subject)).toEqual(["dead._source.shop"]);
    expect(dead[0]?.header("Millrace-Error")).toBe("OUTBOX_MALFORMED");
  });

  test.skipIf(skip)("may be written by anything, and says what caused it", async () => {
    const key = `o-${randomUUID()}`;
    const id = randomUUID();
    await server.client.send(
      new PutItemCommand({
        TableName: "outbox",
        Item: {
          ...{ aggregateid: { S: key }, aggregatetype: { S: "order.with.dots" }, id: { S: id }, type: { S: "placed" } },
          payload: { M: { n: { N: "12345678901234567890" }, s: { SS: ["b", "a"] } } },
          lineage: { M: { correlationId: { S: "first" }, causationId: { S: "second" } } },
        },
      }),
    );
    const stream = await until(new RegExp(`/${key}$`));
    const one = stream.find((each) => each.header("ce-id") === id);
    expect(one?.subject).toMatch(/^events\.shop\.order~2Ewith~2Edots\.placed\.p\d\d$/);
    expect(one?.text).toBe('{"n":"12345678901234567890","s":["a","b"]}');
    expect(["ce-correlationid", "ce-causationid", "ce-hops"].map((name) => one?.header(name))).toEqual([
      ...["first", "second", undefined],
    ]);
  });

  test.skipIf(skip)("starts the automations that wait for its type", async () => {
    const key = `o-${randomUUID()}`;
    const { item } = await box.emit("order.shipped", { key, data: { n: 5 }, headers: { to: "x" } });
    await transact(item);
    await waitFor(() => shipped.length > 0, { what: "the handler" });
    expect(shipped).toMatchObject([
      { type: "order.shipped", source: "shop", key, data: { n: 5 }, headers: { to: "x" } },
    ]);
  });

  test.skipIf(skip)("is heard of once, though its item expires", async () => {
    const key = `o-${randomUUID()}`;
    const TimeToLiveSpecification = { Enabled: true, AttributeName: "expires_at" };
    await server.client.send(new UpdateTimeToLiveCommand({ TableName: "outbox", TimeToLiveSpecification }));
    const brief = await dynamoOutbox({ table: "outbox", keepDays: 1e-9 }).emit("order.brief", { key, data: null });
    await transact(brief.item);
    if ("double" in server) {
      const { state, life } = (server as Awaited<ReturnType<typeof startDouble>>).double;
      await waitFor(
        () =>
          Number(
            brief.item.Put.Item.expires_at && "N" in brief.item.Put.Item.expires_at && brief.item.Put.Item.expires_at.N,
          ) <=
          state.clock.wall() / 1000,
        { what: "its time" },
      );
      life.expire("outbox");
    }
    const next = await box.emit("order.next", { key, data: null });
    await transact(next.item);
    const stream = await until(new RegExp(`order.next.* order/${key}$`));
    const mine = stream.filter((each) => each.header("ce-subject") === `order/${key}`);
    expect(mine.map((each) => each.header("ce-id"))).toEqual([brief.id, next.id]);
  });
});
