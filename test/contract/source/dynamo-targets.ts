// What the DynamoDB connector is held against the contract on by its real SDK: our double behind a port, and a server that somebody else wrote.

import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  PutItemCommand,
} from "@aws-sdk/client-dynamodb";
import { DynamoDouble } from "../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../../src/dev/dynamodb/dynamo-http.ts";
import { foreignDynamo } from "../../support/dynamodb/dynamo-target.ts";
import { sharedDynamo } from "../../support/dynamodb/shared-dynamo.ts";
import type { DynamoShop, DynamoTarget } from "./dynamo-http-server.ts";

let made = 0;

/** Another DynamoDB each. */
const REGIONS = ["eu-west-1", "us-east-1", "eu-central-1", "us-west-2", "ap-south-1"];

/** A double for each database. */
export const doubleTarget: DynamoTarget = {
  fresh: async (tables) => {
    const region = "eu-west-1";
    const double = new DynamoDouble({ region, account: String(++made).padStart(12, "0") });
    const http = await DynamoHttp.start(double);
    for (const table of tables) double.createTable(table);
    const carts = (): ReturnType<typeof double.state.table> => double.state.table(tables[0]);
    return {
      url: http.url,
      ...{ region, prefix: "" },
      put: async (table, id, text) => double.put(table, { id: { S: id }, text: { S: text } }),
      poison: async (id) => {
        const NewImage = { id: { X: "of a type that nobody knows" } };
        double.state.append(carts(), carts().keyOf({ id: { S: id } }), { eventName: "INSERT", NewImage });
      },
      loseLog: async (table) => double.life.trim(table),
      contents: async () =>
        double.state.streams.map(({ arn, shards }) => [arn, shards.map(({ records }) => records.length)]),
      createPlain: async (table) => double.createTable(table, { stream: false }),
      [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
    };
  },
};

/** The server that DYNAMODB_ENDPOINT names, else a moto of the file's own. Neither forgets what it holds on demand. */
export const serverTarget: DynamoTarget = {
  keepsLog: "what the server holds of a stream is not ours to lose",
  fresh: async (tables) => {
    const endpoint = await sharedDynamo();
    const region = REGIONS[++made % REGIONS.length] ?? "";
    const client = new DynamoDBClient({ endpoint, region });
    const prefix = `t${process.pid}-${made}-`;
    const names: string[] = [];
    const create = async (table: string, hasStream: boolean): Promise<void> => {
      names.push(prefix + table);
      const enabled = { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" } as const;
      await client.send(
        new CreateTableCommand({
          TableName: prefix + table,
          BillingMode: "PAY_PER_REQUEST",
          KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
          AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
          ...(hasStream ? { StreamSpecification: enabled } : {}),
        }),
      );
    };
    for (const table of tables) await create(table, true);
    let writing: Promise<unknown> = Promise.resolve();
    // moto loses writes that are made at the same time.
    const put: DynamoShop["put"] = async (table, id, text) => {
      const Item = { id: { S: id }, text: { S: text } };
      const written = writing.then(() => client.send(new PutItemCommand({ TableName: prefix + table, Item })));
      writing = written.catch(() => {});
      await written;
    };
    return {
      url: endpoint,
      ...{ region, prefix },
      put,
      loseLog: async () => {
        throw new Error("the server keeps it");
      },
      contents: () =>
        Promise.all(
          names.map(async (TableName) => {
            const { Table } = await client.send(new DescribeTableCommand({ TableName }));
            return [TableName, Table?.StreamSpecification, Table?.LatestStreamArn, Table?.ItemCount];
          }),
        ),
      createPlain: (table) => create(table, false),
      [Symbol.asyncDispose]: async () => {
        if (foreignDynamo !== undefined)
          for (const TableName of names) await client.send(new DeleteTableCommand({ TableName }));
        client.destroy();
      },
    };
  },
};
