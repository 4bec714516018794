// A process that stands where MongoDB would: it hands out a change stream of prepared replies, and knows no more of the
// protocol than a reader of one needs. `node --import tsx bench/mongodb/feeder.ts <events>` says its port to its parent.

import { createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { BSON, Long, ObjectId, Timestamp } from "mongodb";
import { BEGIN, COLLECTION, DATABASE, eventsBefore, replyOf, timeIn, timeOf, tokenOf } from "./prepared-events.ts";

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const HEADER_BYTES = 16;
const COMMAND_NOT_FOUND = 59;
const SET_ID = new ObjectId();

const events = Number(process.argv[2]);
/** The next event of each cursor. */
const cursors = new Map<string, number>();
let made = 0;

const server = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => {}); // the reader is gone
  let waiting: Buffer = Buffer.alloc(0);
  socket.on("data", (data) => {
    waiting = waiting.length === 0 ? data : Buffer.concat([waiting, data]);
    while (waiting.length >= 4 && waiting.length >= waiting.readInt32LE(0)) {
      const size = waiting.readInt32LE(0);
      void answer(socket, waiting.subarray(0, size));
      waiting = waiting.subarray(size);
    }
  });
});

server.listen(0, "127.0.0.1", () => process.send?.(portOf()));
process.on("disconnect", () => process.exit());

function portOf(): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function answer(socket: Socket, message: Buffer): Promise<void> {
  const request = message.readInt32LE(4);
  const isQuery = message.readInt32LE(12) === OP_QUERY;
  const bodyAt = isQuery ? message.indexOf(0, HEADER_BYTES + 4) + 9 : HEADER_BYTES + 5;
  const end = bodyAt + message.readInt32LE(bodyAt);
  const command = BSON.deserialize(message.subarray(bodyAt, end));
  const reply = await replyTo(command);
  const head = Buffer.alloc(HEADER_BYTES + (isQuery ? 20 : 5));
  head.writeInt32LE(head.length + reply.length, 0);
  head.writeInt32LE(request, 8);
  head.writeInt32LE(isQuery ? OP_REPLY : OP_MSG, 12);
  if (isQuery) head.writeInt32LE(1, HEADER_BYTES + 16);
  socket.write(head);
  socket.write(reply);
}

async function replyTo(command: BSON.Document): Promise<Uint8Array> {
  const [name = ""] = Object.keys(command);
  if (name === "getMore") return getMore(command);
  const made = (replies[name.toLowerCase()] ?? unknown)(command);
  return BSON.serialize({ ok: 1, operationTime: new Timestamp(BEGIN), ...made });
}

const hello = (): BSON.Document => {
  const me = `127.0.0.1:${portOf()}`;
  return {
    ...{ helloOk: true, ismaster: true, isWritablePrimary: true, secondary: false },
    ...{ setName: "bench", setVersion: 1, hosts: [me], me, primary: me },
    ...{ maxBsonObjectSize: 16_777_216, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000 },
    ...{ logicalSessionTimeoutMinutes: 30, minWireVersion: 0, maxWireVersion: 25 },
  };
};

const nothing = (): BSON.Document => ({});

const replies: Readonly<Record<string, (command: BSON.Document) => BSON.Document>> = {
  hello,
  ismaster: hello,
  ping: nothing,
  endsessions: nothing,
  killcursors: nothing,
  buildinfo: () => ({ version: "8.0.0", versionArray: [8, 0, 0, 0] }),
  replsetgetconfig: () => ({ config: { _id: "bench", settings: { replicaSetId: SET_ID } } }),
  listcollections: () => ({
    cursor: {
      id: Long.ZERO,
      ns: `${DATABASE}.$cmd.listCollections`,
      firstBatch: [{ name: COLLECTION, type: "collection", options: {} }],
    },
  }),
  find: () => ({ cursor: { id: Long.ZERO, ns: "local.oplog.rs", firstBatch: [{ ts: new Timestamp(BEGIN) }] } }),
  aggregate: ({ pipeline }) => {
    const id = Long.fromNumber(++made);
    const { startAfter, resumeAfter, startAtOperationTime: start } = pipeline[0].$changeStream;
    const token = startAfter ?? resumeAfter;
    const first = token === undefined ? eventsBefore(start ?? BEGIN) : eventsBefore(timeIn(token)) + 1;
    cursors.set(id.toString(), token !== undefined && timeIn(token).t === BEGIN.t ? 0 : first);
    return {
      cursor: {
        id,
        ns: `${DATABASE}.$cmd.aggregate`,
        firstBatch: [],
        postBatchResumeToken: token ?? tokenOf(BEGIN),
      },
    };
  },
};

const unknown = (command: BSON.Document): BSON.Document => ({
  ok: 0,
  code: COMMAND_NOT_FOUND,
  codeName: "CommandNotFound",
  errmsg: `no such command: ${Object.keys(command)[0]}`,
});

async function getMore(command: BSON.Document): Promise<Uint8Array> {
  const id = Long.fromValue(command.getMore);
  const next = cursors.get(id.toString()) ?? events;
  const count = Math.min(command.batchSize ?? 101, events - next);
  if (count > 0) {
    cursors.set(id.toString(), next + count);
    return replyOf(id, next, count);
  }
  await delay(command.maxTimeMS ?? 1000);
  const postBatchResumeToken = tokenOf(timeOf(events - 1));
  return BSON.serialize({
    cursor: { id, ns: `${DATABASE}.$cmd.aggregate`, nextBatch: [], postBatchResumeToken },
    ok: 1,
    operationTime: new Timestamp(timeOf(events - 1)),
  });
}
