// What of the configuration the server must know to make a source's change stream.

import { matchOf, type StreamSettings } from "../client/change-cursor.ts";
import { conditionsOf, isExclusion } from "./collection-pattern.ts";
import type { MongoConfig } from "./config.ts";

const fullDocuments = { lookup: "updateLookup", stored: "whenAvailable", none: undefined } as const;

export function streamSettings({ databases, collections, images, outbox }: MongoConfig): StreamSettings {
  const included = conditionsOf(collections.filter((pattern) => !isExclusion(pattern)));
  const excluded = conditionsOf(collections.filter(isExclusion).map((pattern) => pattern.slice(1)));
  return {
    databases,
    match: matchOf(databases, included, excluded, outbox?.collection),
    before: images.before === "stored",
    fullDocument: fullDocuments[images.after],
  };
}
