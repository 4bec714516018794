// A process that stands where DynamoDB would: it hands out prepared pages of one table's stream, and knows no more of the protocol
// than a reader of one needs. `node --import tsx bench/dynamodb/feeder.ts` says its port to its parent; a table is named by
// what it has: `<shards>-<records of each>-<bytes of an item>`, and more where there are several. Its parent may write one more record.

import { createServer, type ServerResponse } from "node:http";
import { arnOf, shardIn, shardName } from "./feeder-names.ts";
import type { FeederMessage } from "./feeder-process.ts";
import { numberOf, Pages, recordAt } from "./prepared-records.ts";

const LABEL = "2026-11-29T00:00:00.000";
const PAGE_SHARDS = 100;

interface Table {
  readonly name: string;
  readonly pages: Pages;
  /** Of each shard, how many records it has. */
  readonly shards: number[];
}

const tables = new Map<string, Table>();
let asked = 0;

function tableOf(name: string): Table {
  let table = tables.get(name);
  if (table === undefined) {
    const [shards = 1, records = 0, bytes = 300] = name.split("-").map(Number);
    table = { name, pages: new Pages(bytes), shards: new Array<number>(shards).fill(records) };
    tables.set(name, table);
  }
  return table;
}

const tableIn = (arn: string): Table => tableOf(arn.split("/")[1] ?? "");

type Input = Readonly<Record<string, string>>;

const answers: Readonly<Record<string, (input: Input) => unknown>> = {
  DescribeTable: ({ TableName = "" }) => ({
    Table: {
      ...{ TableName, TableArn: arnOf(TableName), TableId: TableName, TableStatus: "ACTIVE" },
      ...{ LatestStreamLabel: LABEL, LatestStreamArn: `${arnOf(TableName)}/stream/${LABEL}` },
      StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
    },
  }),
  DescribeStream: ({ StreamArn = "", ExclusiveStartShardId, ShardFilter }) => {
    const { name, shards } = tableIn(StreamArn);
    const first = ExclusiveStartShardId === undefined ? 0 : shardIn(ExclusiveStartShardId) + 1;
    const listed = ShardFilter === undefined ? shards.slice(first, first + PAGE_SHARDS) : [];
    return {
      StreamDescription: {
        ...{ StreamArn, StreamLabel: LABEL, TableName: name, StreamStatus: "ENABLED" },
        ...{ StreamViewType: "NEW_AND_OLD_IMAGES", KeySchema: [{ AttributeName: "id", KeyType: "HASH" }] },
        Shards: listed.map((_, nth) => ({
          ShardId: shardName(first + nth),
          SequenceNumberRange: { StartingSequenceNumber: numberOf(first + nth, -1) },
        })),
        ...(first + listed.length < shards.length
          ? { LastEvaluatedShardId: shardName(first + listed.length - 1) }
          : {}),
      },
    };
  },
  GetShardIterator: ({ StreamArn = "", ShardId = "", ShardIteratorType, SequenceNumber }) => {
    const at = SequenceNumber === undefined ? 0 : recordAt(SequenceNumber);
    const next = ShardIteratorType === "AFTER_SEQUENCE_NUMBER" ? at + 1 : Math.max(0, at);
    return { ShardIterator: `${tableIn(StreamArn).name}|${shardIn(ShardId)}|${next}` };
  },
};

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const [, operation = ""] = String(request.headers["x-amz-target"]).split(".");
    const input = JSON.parse(Buffer.concat(parts).toString()) as Input;
    if (operation === "GetRecords") return sendRecords(response, input);
    const answer = answers[operation];
    if (answer === undefined) throw new Error(`${operation} is not known here`);
    send(response, Buffer.from(JSON.stringify(answer(input))));
  });
});
server.keepAliveTimeout = 60_000;

function sendRecords(response: ServerResponse, { ShardIterator = "" }: Input): void {
  asked++;
  const [name = "", shard, next] = ShardIterator.split("|");
  const { pages, shards } = tableOf(name);
  const first = Number(next);
  const count = pages.fit(first, (shards[Number(shard)] ?? 0) - first);
  const tail = `,"NextShardIterator":"${name}|${shard}|${first + count}"}`;
  if (count === 0) send(response, Buffer.from(`{"Records":[]${tail}`));
  else send(response, Buffer.from("{"), pages.page(Number(shard), first, count), Buffer.from(tail));
}

function send(response: ServerResponse, ...parts: readonly Buffer[]): void {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  response.writeHead(200, { "content-type": "application/x-amz-json-1.0", "content-length": length });
  for (const part of parts) response.write(part);
  response.end();
}

server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.send?.(typeof address === "object" && address !== null ? address.port : 0);
});
process.on("message", (message: FeederMessage) => {
  if (message === "asked") {
    process.send?.(asked);
    return;
  }
  const { shards } = tableOf(message.table);
  shards[message.shard] = (shards[message.shard] ?? 0) + 1;
});
process.on("disconnect", () => process.exit());
