// Connections to MongoDB, with the settings that all of them have.

import type { MongoClient, MongoClientOptions, TopologyDescription } from "mongodb";
import { ConfigError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { driver } from "./driver.ts";
import { translateError } from "./errors.ts";
import { selectionError } from "./selection-error.ts";

const settings: MongoClientOptions = {
  /** How long a server is looked for before it counts as away: behind an election it is tried again. */
  serverSelectionTimeoutMS: 5_000,
  /** Also how long a server may be silent when it is asked whether it lives, before all waiting for it ends. */
  connectTimeoutMS: 10_000,
  /**
   * Never reached by a server that lives: behind a place far back in a busy oplog the first answer comes when the server has
   * looked through it, and whoever gives up before begins anew for ever.
   */
  socketTimeoutMS: 3_600_000,
};

/** One name may lead to several mongos, each connection to another: what asks for more goes where the stream was opened. */
const oneConnection: MongoClientOptions = { minPoolSize: 0, maxPoolSize: 1 };

/** @throws ConfigError AUTH_FAILED, URL_INVALID, one about TLS or the replica set; TransientError SOURCE_UNREACHABLE */
export async function connectMongo(id: SourceId, { url }: { readonly url: string }): Promise<MongoClient> {
  const options = { ...settings, appName: `millrace ${id}` };
  const { client, seen } = await connectOnce(url, options);
  if (seen?.type !== "Sharded") return client;
  const one = ofOneRouter(url, client, seen) ?? { url, options: {} };
  await client.close();
  return (await connectOnce(one.url, { ...options, ...one.options, ...oneConnection })).client;
}

interface Connected {
  readonly client: MongoClient;
  /** What the driver has found by now. */
  readonly seen: TopologyDescription | undefined;
}

async function connectOnce(url: string, options: MongoClientOptions): Promise<Connected> {
  const client = newClient(url, options);
  let seen: TopologyDescription | undefined;
  client.on("topologyDescriptionChanged", ({ newDescription }) => {
    seen = newDescription;
  });
  try {
    await client.connect();
    return { client, seen };
  } catch (error) {
    await client.close();
    if (error instanceof driver().MongoAPIError) throw urlInvalid(error);
    throw (await selectionError(error, client.options)) ?? translateError(error);
  }
}

function newClient(url: string, options: MongoClientOptions): MongoClient {
  let client: MongoClient;
  try {
    if (isTorn(url)) throw new Error("a user or a password has letters that are not percent-encoded");
    client = new (driver().MongoClient)(url, options);
  } catch (error) {
    throw urlInvalid(error);
  }
  if (!client.options.loadBalanced) return client;
  throw new ConfigError("LOAD_BALANCED", "the url says loadBalanced=true", {
    hint: "A change stream lives in one server, so it cannot be read through a load balancer: name the replica set's members, or mongos servers, in the url.",
  });
}

/** Whether an @ stands where none can: the driver would take a part of the password for a host. */
function isTorn(url: string): boolean {
  const [, authority = "", path = ""] = /^[^/]*\/\/([^/?]*)([^?]*)/.exec(url) ?? [];
  return authority.split("@").length > 2 || path.includes("@");
}

/** The driver's messages about a url quote options and never the password. */
function urlInvalid(error: unknown): ConfigError {
  const { message } = error as Error;
  return new ConfigError("URL_INVALID", `the url of the source cannot be used: ${message}`, {
    hint: "Correct the option url; letters like @ / : % in a user or password are written percent-encoded.",
    cause: error,
  });
}

/** How to reach one living mongos alone: a stream's cursor is known to the one that made it. Undefined: there is only one. */
function ofOneRouter(
  url: string,
  { options: { srvHost } }: MongoClient,
  { servers }: TopologyDescription,
): { readonly url: string; readonly options: MongoClientOptions } | undefined {
  if (srvHost !== undefined) return { url, options: { srvMaxHosts: 1 } };
  if (servers.size === 1) return undefined;
  const [nearest] = [...servers.values()]
    .filter(({ type }) => type === "Mongos")
    .sort((a, b) => a.roundTripTime - b.roundTripTime);
  if (nearest === undefined) return undefined;
  return { url: url.replace(/^(mongodb:\/\/(?:[^@/]*@)?)[^/?]+/, `$1${nearest.address}`), options: {} };
}
