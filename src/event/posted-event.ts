// A typed POST: a domain event that came over HTTP, and from no outbox.

import { canonicalJson, laneOf } from "./lane.ts";
import { lineageOf } from "./lineage.ts";
import type { DomainEvent } from "./parse-domain-event.ts";
import type { StoredMessage } from "./parse-event.ts";
import { percentDecode, undecodable } from "./percent.ts";
import { refuseOtherVersion } from "./spec-version.ts";
import { domainSubjectPrefix } from "./subject.ts";
import type { WorkerEvent } from "./worker-event.ts";

/** What a typed event is called, split at the first dot. */
export interface PostedType {
  readonly aggregate: string;
  readonly name: string;
}

/** @param type `<aggregate>.<name>` */
export function postedType(type: string): PostedType {
  const dot = type.indexOf(".");
  return { aggregate: type.slice(0, dot), name: type.slice(dot + 1) };
}

/** @param id without the type @param data JSON text, as it came @param key of the aggregate; a POST has none */
export function postedEvent(type: string, id: string, data: Uint8Array, time: string, key = ""): WorkerEvent {
  const { aggregate, name } = postedType(type);
  return {
    origin: "_post",
    aggregate,
    name,
    id: `${type}.${id}`,
    subject: key === "" ? aggregate : `${aggregate}/${key}`,
    lane: laneOf(Buffer.from(key === "" ? canonicalJson({ aggregate }) : JSON.stringify(key))),
    time,
    data,
  };
}

/** `events._post.<aggregate>.<name>.`: the lane goes behind it. */
export function postedPrefix({ aggregate, name }: PostedType): string {
  return domainSubjectPrefix("_post", aggregate, name);
}

/** @throws PoisonError `EVENT_UNDECODABLE`, naming the part, never its content */
export function parsePostedEvent(message: StoredMessage, { aggregate, name }: PostedType): DomainEvent {
  refuseOtherVersion(message);
  const [id, time] = ["ce-id", "ce-time"].map((header) => message.header(header));
  if (!id || !time) throw undecodable("it lacks a ce- header");
  const lineage = lineageOf(message);
  return {
    id: percentDecode(id),
    type: `${aggregate}.${name}`,
    source: "_post",
    key: percentDecode(message.header("ce-subject") ?? "").slice(aggregate.length + 1),
    data: dataOf(message.data),
    headers: {},
    time,
    position: String(message.sequence),
    sequence: message.sequence,
    ...(lineage && { lineage }),
  };
}

function dataOf(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch {
    throw undecodable("the body is not JSON"); // the parser's message would quote it
  }
}
