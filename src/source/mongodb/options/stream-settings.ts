// What of the configuration the server must know to make a source's change stream.

import { matchOf, type StreamSettings } from "../client/change-cursor.ts";
import { expressionOf, isExclusion } from "./collection-pattern.ts";
import type { MongoConfig } from "./config.ts";

const fullDocuments = { lookup: "updateLookup", stored: "whenAvailable", none: undefined } as const;

export function streamSettings({ databases, collections, images, outbox }: MongoConfig): StreamSettings {
  const included = collections.filter((pattern) => !isExclusion(pattern)).map(expressionOf);
  const excluded = collections.filter(isExclusion).map((pattern) => expressionOf(pattern.slice(1)));
  return {
    databases,
    match: matchOf(databases, included, excluded, outbox?.collection),
    before: images.before === "stored",
    fullDocument: fullDocuments[images.after],
  };
}
