// Which collections a source reads, and which of them is its outbox: that one is never read as changes.

import { collectionFilter } from "./collection-pattern.ts";
import type { MongoConfig } from "./config.ts";

export interface CollectionRules {
  /** Whether changes of this collection are events. */
  readonly reads: (database: string, collection: string) => boolean;
  /** Whether what is inserted into it are domain events. */
  readonly isOutbox: (database: string, collection: string) => boolean;
}

export function collectionRules({
  databases,
  collections,
  outbox,
}: Pick<MongoConfig, "databases" | "collections" | "outbox">): CollectionRules {
  const filter = collectionFilter(collections);
  const isOutbox: CollectionRules["isOutbox"] = (database, collection) =>
    collection === outbox?.collection && databases.includes(database);
  return {
    reads: (database, collection) =>
      databases.includes(database) && filter(collection) && !isOutbox(database, collection),
    isOutbox,
  };
}
