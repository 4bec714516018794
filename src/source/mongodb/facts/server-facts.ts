// What a server says of itself: kind, version, topology, and the time of its log.

import type { BSON, MongoClient, Timestamp } from "mongodb";
import { driver } from "../client/driver.ts";
import type { ClusterTime } from "../client/position.ts";

/** Servers that speak MongoDB's protocol and are not MongoDB have change streams of another kind, or none. */
export type Flavour = "mongodb" | "documentdb" | "cosmos";

export interface ServerFacts {
  readonly flavour: Flavour;
  /** As the server writes it. */
  readonly version: string;
  readonly versionNumbers: readonly [major: number, minor: number];
  /** `single`: no member of a replica set, so that it has no change streams. */
  readonly topology: "replicaSet" | "sharded" | "single";
  /** The replica set's name; undefined behind mongos. */
  readonly setName: string | undefined;
  /** What the cluster calls itself for good, as hexadecimal text; undefined where the user may not ask. */
  readonly clusterId: string | undefined;
  /** What is committed by now; undefined where the server has no such time. */
  readonly operationTime: ClusterTime | undefined;
}

/** @throws what the driver throws */
export async function readServer(client: MongoClient): Promise<ServerFacts> {
  const admin = client.db("admin");
  const hello = await admin.command({ hello: 1 });
  const build = await admin.command({ buildInfo: 1 });
  const version = String(build.version ?? "0.0");
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const sharded = hello.msg === "isdbgrid";
  return {
    flavour: flavourOf(client, hello),
    version,
    versionNumbers: [major, minor],
    topology: sharded ? "sharded" : hello.setName === undefined ? "single" : "replicaSet",
    setName: hello.setName,
    clusterId: await readClusterId(client, sharded),
    operationTime: await readTime(client),
  };
}

/** By the replica set's configuration, or the sharded cluster's; both need rights that a reader may lack. */
async function readClusterId(client: MongoClient, sharded: boolean): Promise<string | undefined> {
  try {
    if (sharded) {
      const version = await client
        .db("config")
        .collection<{ clusterId?: BSON.ObjectId }>("version" as never)
        .findOne();
      return version?.clusterId?.toHexString();
    }
    const { config } = await client.db("admin").command({ replSetGetConfig: 1 });
    return config?.settings?.replicaSetId?.toHexString();
  } catch (error) {
    if (error instanceof driver().MongoServerError) return undefined;
    throw error;
  }
}

/** What is committed by now. @throws what the driver throws */
export async function readTime(client: MongoClient): Promise<ClusterTime | undefined> {
  const { operationTime } = (await client.db("admin").command({ ping: 1 })) as { operationTime?: Timestamp };
  return operationTime && { t: operationTime.t, i: operationTime.i };
}

/** Of a full oplog: the server drops whole pieces of it, so that it is a little less than full. */
export const FULL_SHARE = 0.85;

/** How far the log reaches back. */
export interface OplogFacts {
  readonly oldest: ClusterTime;
  readonly newest: ClusterTime;
  /** How much of what it may hold it holds; undefined where the server does not say. */
  readonly share: number | undefined;
  /** What it may hold; undefined where the server does not say. */
  readonly maxBytes: number | undefined;
}

/**
 * The oldest and newest entry of the member's oplog; undefined behind mongos, which has none.
 * @throws what the driver throws: it needs `read` on the database `local`
 */
export async function readOplog(client: MongoClient): Promise<OplogFacts | undefined> {
  const oplog = client.db("local").collection<{ ts: Timestamp }>("oplog.rs");
  const end = (direction: 1 | -1): Promise<{ ts: Timestamp } | null> =>
    oplog.findOne({}, { sort: { $natural: direction }, projection: { ts: 1 } });
  const [oldest, newest, size] = await Promise.all([end(1), end(-1), readSize(client)]);
  if (oldest === null || newest === null) return undefined;
  return { oldest: { t: oldest.ts.t, i: oldest.ts.i }, newest: { t: newest.ts.t, i: newest.ts.i }, ...size };
}

/** A user may lack the right to ask, and a server that only speaks the protocol the command. */
async function readSize(client: MongoClient): Promise<Pick<OplogFacts, "share" | "maxBytes">> {
  try {
    const { size, maxSize } = await client.db("local").command({ collStats: "oplog.rs" });
    const [bytes, maxBytes] = [Number(size), Number(maxSize)];
    if (bytes >= 0 && maxBytes > 0) return { share: bytes / maxBytes, maxBytes };
  } catch (error) {
    if (!(error instanceof driver().MongoServerError)) throw error;
  }
  return { share: undefined, maxBytes: undefined };
}

/** By what tells them apart from outside: their host names, and a member of `hello` that Azure's has. */
function flavourOf(client: MongoClient, hello: BSON.Document): Flavour {
  const hosts = client.options.hosts.map(({ host }) => host ?? "");
  if (hosts.some((host) => host.endsWith(".docdb.amazonaws.com"))) return "documentdb";
  const azure = hosts.some((host) => host.endsWith(".cosmos.azure.com"));
  return azure || hello.internal?.documentdb_versions !== undefined ? "cosmos" : "mongodb";
}
