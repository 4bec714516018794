// The commands that the driver and the connector send, answered as a replica set's member or a mongos answers them.

import { BSON } from "mongodb";
import { ChangeStream, type StreamBatch, type StreamLimits } from "./change-stream.ts";
import { CommandError } from "./command-error.ts";
import type { Oplog } from "./oplog.ts";
import { documentOf, membersOf, rawList, rawMember } from "./wire.ts";

/** What all nodes of a double share. */
export interface Cluster {
  readonly oplog: Oplog;
  readonly topology: "replicaSet" | "sharded" | "single";
  readonly setName: string;
  /** What it calls itself for good. */
  readonly id: BSON.ObjectId;
  readonly version: string;
  /** Addresses of all nodes. */
  readonly hosts: readonly string[];
  readonly primary: string;
  readonly elections: number;
  readonly limits: StreamLimits;
  /** More of what it says of itself, as servers do that are not MongoDB. */
  readonly hello: BSON.Document;
}

interface Cursor {
  readonly stream: ChangeStream;
  readonly namespace: string;
}

/** One server: its cursors are its own. */
export class Node {
  readonly address: string;
  readonly #cluster: () => Cluster;
  readonly #cursors = new Map<bigint, Cursor>();
  #made = 0;

  constructor(address: string, cluster: () => Cluster) {
    this.address = address;
    this.#cluster = cluster;
  }

  get openCursors(): number {
    return this.#cursors.size;
  }

  /** As an administrator or a restart does. */
  killCursors(): void {
    this.#cursors.clear();
  }

  /** @returns the members of the answer @throws CommandError */
  async answer(name: string, body: BSON.Document): Promise<Buffer> {
    const database = String(body.$db ?? "admin");
    switch (name) {
      case "hello":
      case "ismaster":
      case "isMaster":
        return membersOf(this.#hello());
      case "ping":
      case "endSessions":
        return membersOf({});
      case "buildInfo":
        return membersOf({ version: this.#cluster().version, modules: [], maxBsonObjectSize: 16 * 1024 * 1024 });
      case "replSetGetConfig":
        return membersOf({ config: { _id: this.#cluster().setName, settings: { replicaSetId: this.#cluster().id } } });
      case "listCollections":
        return this.#listCollections(database);
      case "find":
        return this.#find(database, body);
      case "collStats":
        return this.#collStats();
      case "aggregate":
        return this.#aggregate(database, body);
      case "getMore":
        return this.#getMore(body);
      case "killCursors":
        for (const id of body.cursors) this.#cursors.delete(BigInt(String(id)));
        return membersOf({ cursorsKilled: body.cursors });
      default:
        throw new CommandError(59, "CommandNotFound", `no such command: '${name}'`);
    }
  }

  #hello(): BSON.Document {
    const { topology, setName, hosts, primary, elections, oplog, hello } = this.#cluster();
    const isPrimary = topology !== "replicaSet" || this.address === primary;
    return {
      helloOk: true,
      ...hello,
      ismaster: isPrimary,
      isWritablePrimary: isPrimary,
      ...(isPrimary ? {} : { secondary: true }),
      ...(topology === "sharded" ? { msg: "isdbgrid" } : {}),
      ...(topology === "replicaSet"
        ? {
            setName,
            setVersion: 1,
            hosts,
            primary,
            me: this.address,
            electionId: BSON.ObjectId.createFromTime(elections),
          }
        : {}),
      maxBsonObjectSize: 16 * 1024 * 1024,
      maxMessageSizeBytes: 48_000_000,
      maxWriteBatchSize: 100_000,
      localTime: new Date(),
      logicalSessionTimeoutMinutes: 30,
      minWireVersion: 0,
      maxWireVersion: 25,
      readOnly: false,
      ...(topology === "replicaSet"
        ? { lastWrite: { opTime: { ts: new BSON.Timestamp(oplog.time) }, lastWriteDate: new Date() } }
        : {}),
    };
  }

  #listCollections(database: string): Buffer {
    const found = [...this.#cluster().oplog.collections].filter(([place]) => place.startsWith(`${database}.`));
    const firstBatch = found.map(([place, { uuid, images }]) => ({
      name: place.slice(database.length + 1),
      type: "collection",
      options: images ? { changeStreamPreAndPostImages: { enabled: true } } : {},
      info: { readOnly: false, uuid },
    }));
    return wholeCursor(`${database}.$cmd.listCollections`, firstBatch);
  }

  /** The ends of the oplog, and what a sharded cluster calls itself. */
  #find(database: string, { find, sort, filter }: BSON.Document): Buffer {
    const { oplog, topology, id } = this.#cluster();
    const namespace = `${database}.${find}`;
    if (namespace === "local.oplog.rs" && topology === "replicaSet") {
      const ts = Number(sort?.$natural) < 0 ? oplog.time : oplog.oldest;
      return wholeCursor(namespace, [{ ts: new BSON.Timestamp(ts) }]);
    }
    const collection = oplog.collection(database, find);
    if (collection !== undefined) return wholeCursor(namespace, behind([...collection.documents.values()], filter));
    const isVersion = namespace === "config.version" && topology === "sharded";
    return wholeCursor(namespace, isVersion ? [{ _id: 1, clusterId: id }] : []);
  }

  /** Of the oplog, where a test has said how full that is. */
  #collStats(): Buffer {
    const { share } = this.#cluster().oplog;
    if (share === undefined) throw new CommandError(59, "CommandNotFound", "no such command: 'collStats'");
    return membersOf({ size: share * 1000, maxSize: 1000 });
  }

  #aggregate(database: string, { pipeline, cursor }: BSON.Document): Buffer {
    const { oplog, topology, primary } = this.#cluster();
    if (topology === "single") {
      throw new CommandError(40573, "Location40573", "The $changeStream stage is only supported on replica sets");
    }
    if (topology === "replicaSet" && this.address !== primary) throw notPrimary();
    if (pipeline[0]?.$changeStream === undefined) {
      throw new CommandError(
        40324,
        "Location40324",
        `Unrecognized pipeline stage name: ${Object.keys(pipeline[0] ?? {})}`,
      );
    }
    const stream = new ChangeStream(oplog, database, pipeline, () => this.#cluster().limits);
    const namespace = `${database}.$cmd.aggregate`;
    const id = (BigInt(this.address.split(":")[1] ?? "0") << 32n) + BigInt(++this.#made);
    this.#cursors.set(id, { stream, namespace });
    return this.#batch(id, namespace, "firstBatch", stream.read(Number(cursor?.batchSize ?? 101)));
  }

  async #getMore({ getMore, batchSize, maxTimeMS }: BSON.Document): Promise<Buffer> {
    const id = BigInt(String(getMore));
    const found = (): Cursor => {
      const cursor = this.#cursors.get(id);
      if (cursor === undefined) throw new CommandError(43, "CursorNotFound", `cursor id ${id} not found`);
      return cursor;
    };
    const { stream, namespace } = found();
    const deadline = performance.now() + Number(maxTimeMS ?? 1000);
    try {
      for (;;) {
        const batch = stream.read(Number(batchSize ?? 101));
        const leftMs = deadline - performance.now();
        if (batch.events.length > 0 || batch.ended || leftMs <= 0) {
          return this.#batch(id, namespace, "nextBatch", batch);
        }
        await this.#cluster().oplog.changed(leftMs);
        found();
      }
    } catch (error) {
      this.#cursors.delete(id);
      throw error;
    }
  }

  #batch(id: bigint, ns: string, name: string, { events, token, ended }: StreamBatch): Buffer {
    if (ended) this.#cursors.delete(id);
    const cursor = documentOf(
      membersOf({ id: BSON.Long.fromBigInt(ended ? 0n : id), ns }),
      rawList(name, events),
      membersOf({ postBatchResumeToken: { _data: token } }),
    );
    return rawMember("cursor", cursor);
  }
}

function notPrimary(): CommandError {
  return new CommandError(10107, "NotWritablePrimary", "not primary", ["ResumableChangeStreamError"]);
}

function wholeCursor(ns: string, firstBatch: readonly BSON.Document[]): Buffer {
  return membersOf({ cursor: { id: BSON.Long.ZERO, ns, firstBatch } });
}

/** Documents of numbers as `_id`, in their order, behind the one that a copy goes on behind. */
function behind(documents: readonly BSON.Document[], filter: BSON.Document | undefined): readonly BSON.Document[] {
  const last = Number(filter?.$expr?.$gt[1].$literal ?? Number.NEGATIVE_INFINITY);
  return documents.filter(({ _id }) => Number(_id) > last).sort((a, b) => a._id - b._id);
}
