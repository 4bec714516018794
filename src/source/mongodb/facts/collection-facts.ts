// What collections there are that a source reads, and whether they keep images.

import type { CollectionInfo, MongoClient } from "mongodb";
import { collectionRules } from "../options/collection-rules.ts";
import type { MongoConfig } from "../options/config.ts";

export interface CollectionFacts {
  /** What the server never gives to another one; its name where the server has no such thing. */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  /** Whether it keeps documents as they were before and after a change. */
  readonly images: boolean;
}

/** The server's own collections, which have no change streams. */
const SYSTEM = /^system\./;

/** In the order of their names. @throws what the driver throws */
export async function readCollections(
  client: MongoClient,
  config: Pick<MongoConfig, "databases" | "collections" | "outbox">,
): Promise<readonly CollectionFacts[]> {
  const { reads } = collectionRules(config);
  const found: CollectionFacts[] = [];
  for (const namespace of config.databases) {
    for (const { name, type, options, info } of await client
      .db(namespace)
      .listCollections({}, { nameOnly: false })
      .toArray()) {
      if (type !== "collection" || SYSTEM.test(name) || !reads(namespace, name)) continue;
      found.push({
        id: info?.uuid?.toString("hex") ?? name,
        namespace,
        name,
        images: options?.changeStreamPreAndPostImages?.enabled === true,
      });
    }
  }
  return found.sort((a, b) => (`${a.namespace}.${a.name}` < `${b.namespace}.${b.name}` ? -1 : 1));
}

/** The id of the collection that has a name now; undefined where there is none. @throws what the driver throws */
export async function readCollectionId(
  client: MongoClient,
  namespace: string,
  name: string,
): Promise<string | undefined> {
  const [found] = await client.db(namespace).listCollections({ name }, { nameOnly: false }).toArray();
  return found === undefined ? undefined : idOf(name, found.info);
}

function idOf(name: string, info: CollectionInfo["info"]): string {
  return info?.uuid?.toString("hex") ?? name;
}
