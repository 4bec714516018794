// Subjects: which tokens they are made of and how names that are no tokens are escaped.

import type { SourceId } from "./source-id.ts";
import type { WorkerEvent } from "./worker-event.ts";

export type Op = "created" | "updated" | "deleted" | "read" | "truncated";

/** What a `meta.<source>.<kind>` message is about. */
export type MetaKind = "writer" | "history" | "gap" | "poison" | "lost" | "schema" | "backfill" | "ddl" | "shard";

const encoder = new TextEncoder();
const plain = /^[A-Za-z0-9_-]+$/;

/**
 * One subject token for any text: `[A-Za-z0-9_-]` stay, every other UTF-8 byte becomes `~XX`, the empty text `~`.
 * Injective: two names never share a token.
 */
export function escapeToken(text: string): string {
  if (plain.test(text)) return text;
  if (text === "") return "~";
  let token = "";
  for (const byte of encoder.encode(text)) {
    const char = String.fromCharCode(byte);
    token += byte < 0x80 && plain.test(char) ? char : `~${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return token;
}

/** The text that `escapeToken` was given. */
export function unescapeToken(token: string): string {
  if (!token.includes("~")) return token;
  if (token === "~") return "";
  return decodeURIComponent(token.replaceAll("~", "%"));
}

/** `cdc.<source>.<namespace>.<collection>.<op>.`: the lane goes behind it. */
export function changeSubjectPrefix(source: SourceId, namespace: string, collection: string, op: Op): string {
  return `cdc.${source}.${escapeToken(namespace)}.${escapeToken(collection)}.${op}.`;
}

/** `events.<source>.<aggregate>.<type>.`: the lane goes behind it. */
export function domainSubjectPrefix(source: SourceId | WorkerEvent["origin"], aggregate: string, type: string): string {
  return `events.${source}.${escapeToken(aggregate)}.${escapeToken(type)}.`;
}

/** The subject of logical messages with a prefix. */
export function logicalMessageSubject(source: SourceId, prefix: string): string {
  return `meta.${source}.message.${escapeToken(prefix)}`;
}

/** The subject of a message about the source that keeps its place in the order. */
export function metaSubject(source: SourceId, kind: MetaKind): string {
  return `meta.${source}.${kind}`;
}
