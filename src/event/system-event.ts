// What the worker itself has to tell: events on `events._system.…`, for automations and for any other subscriber.

import { createHash } from "node:crypto";
import { PoisonError } from "../errors.ts";
import { canonicalJson, laneOf } from "./lane.ts";
import type { StoredMessage } from "./parse-event.ts";
import type { SourceId } from "./source-id.ts";
import { domainSubjectPrefix } from "./subject.ts";
import type { WorkerEvent } from "./worker-event.ts";

/** A source's log in its database crossed a limit of the guard, came back, or the last resort was taken. */
export interface LagData {
  readonly source: string;
  /** By the connector's name: of Postgres `lost`, `retainedBytes`, `timeToFullSeconds`, `lagSeconds` or `catalogXminAge`. */
  readonly measure: string;
  readonly state: "exceeded" | "recovered" | "full";
  /** In the measure's unit; of `lost` 1 or 0. Null when there is none any more. */
  readonly value: number | null;
  readonly limit: number;
  /** What was done, when it is `full`. */
  readonly action?: "stop" | "drop-and-gap";
}

/**
 * A source goes on behind a gap: what stands between the two positions can never come. Or an automation goes on behind
 * events that left the stream before it got them: then the two are sequences of the stream.
 */
export interface GapData {
  readonly source: string;
  /** Where only this one misses something. */
  readonly automation?: string;
  /** Where only these tables miss something. */
  readonly collections?: readonly string[];
  readonly code: string | null;
  readonly reason: string;
  /** Null when nothing was stored before. */
  readonly after: string | null;
  readonly upTo: string;
}

/**
 * Dead letters of an automation came, or a person handed them out once more, or put them away. `automation` is `_source.<source>`
 * for a source's rows, which only a person's doing is told of.
 */
export interface DeadData {
  /** That of the newest one's event. */
  readonly source: string;
  readonly automation: string;
  readonly state: "arrived" | "replayed" | "dropped";
  readonly count: number;
  /** Of those that came; each reason and fingerprint is told by itself. */
  readonly reason?: string;
  readonly fingerprint?: string;
  /** Where the newest one's event stands. */
  readonly stream?: string;
  readonly sequence?: number;
  /** Numbers in `MILLRACE_DEAD`, who did it, and why. */
  readonly letters?: readonly number[];
  readonly by?: string;
  readonly note?: string;
}

/** An endpoint was paused (by a person, or because it failed for long), goes on, or has disabled itself (410). */
export interface EndpointData {
  readonly endpoint: string;
  readonly state: "paused" | "resumed" | "disabled";
  /** `asked` by a person, `failing` for long, `gone` (it answered 410), or `probe`: it takes what is sent again. */
  readonly reason: "asked" | "failing" | "gone" | "probe";
  /** A person at a machine, or the worker. */
  readonly by: string;
}

/** What is said of a gap by who knows which source it is. */
export type SourceGap = Omit<GapData, "source">;

/** By kind: the second token behind `events._system`. */
export interface SystemData {
  readonly lag: LagData;
  readonly gap: GapData;
  readonly dead: DeadData;
  readonly endpoint: EndpointData;
}

export type SystemKind = keyof SystemData;

/** As a handler gets it. */
export interface SystemEvent<Data = unknown> {
  readonly id: string;
  /** `_system.lag.exceeded` */
  readonly type: string;
  /** RFC 3339 in UTC. */
  readonly time: string;
  readonly data: Data;
  /** Its sequence in `MILLRACE_EVENTS`. */
  readonly sequence: number;
}

/** @param id without the kind: it is put in front */
export function systemEvent<Kind extends SystemKind>(
  kind: Kind,
  name: string,
  id: string,
  data: SystemData[Kind] & { readonly source: string },
): WorkerEvent {
  const { source } = data;
  return {
    origin: "_system",
    aggregate: kind,
    name,
    id: `${kind}.${id}`,
    subject: source,
    lane: laneOf(Buffer.from(canonicalJson({ source }))),
    time: new Date().toISOString(),
    data: Buffer.from(JSON.stringify(data)),
  };
}

/** `events._system.lag.` */
export function systemPrefix(kind: SystemKind): string {
  return `events._system.${kind}.`;
}

/** `events._manual.<automation>.triggered.`: what `millrace trigger` sends to an automation. */
export function manualPrefix(automation: string): string {
  return domainSubjectPrefix("_manual", automation, MANUAL_NAME);
}

const MANUAL_NAME = "triggered";

/** What somebody sends to an automation by hand. @param id the same for the same event, however often it is sent */
export function manualEvent(automation: string, id: string, data: unknown): WorkerEvent {
  return {
    origin: "_manual",
    aggregate: automation,
    name: MANUAL_NAME,
    id: `manual.${automation}.${id}`,
    subject: automation,
    lane: laneOf(Buffer.from(canonicalJson({ automation }))),
    time: new Date().toISOString(),
    data: Buffer.from(JSON.stringify(data)),
  };
}

/** The event that says that a source's gap is on record. */
export function gapEvent(source: SourceId, gap: SourceGap): WorkerEvent {
  const { upTo, code, collections } = gap;
  // One look finds several of one code, and one place.
  const which = collections === undefined ? "" : `.${code}.${digestOf(collections)}`;
  return systemEvent("gap", "recorded", `${source}.${upTo}${which}`, { source, ...gap });
}

/** The event that says what became of dead letters. @param id without the kind */
export function deadEvent(id: string, data: DeadData): WorkerEvent {
  return systemEvent("dead", data.state, `${data.state}.${id}`, data);
}

/** The event that says how an endpoint stands now. @param n grows with each change */
export function endpointEvent(
  endpoint: string,
  {
    n,
    state,
    reason,
    by,
    at,
  }: Omit<EndpointData, "endpoint" | "state"> & {
    readonly n: number;
    readonly state: "open" | "paused" | "disabled";
    readonly at: string;
  },
): WorkerEvent {
  const name = state === "open" ? "resumed" : state;
  const data: EndpointData = { endpoint, state: name, reason, by };
  return {
    origin: "_system",
    aggregate: "endpoint",
    name,
    id: `endpoint.${endpoint}.${n}.${name}`,
    subject: endpoint,
    lane: laneOf(Buffer.from(canonicalJson({ endpoint }))),
    time: at,
    data: Buffer.from(JSON.stringify(data)),
  };
}

function digestOf(collections: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(collections)).digest("hex").slice(0, 16);
}

/** The event that says what an automation missed. */
export function missedEvent(data: GapData & { readonly automation: string }): WorkerEvent {
  return systemEvent("gap", "missed", `${data.source}.${data.automation}.${data.after}.${data.upTo}`, data);
}

/** @throws PoisonError `EVENT_UNDECODABLE` */
export function parseSystemEvent(message: StoredMessage): SystemEvent {
  const [id, type, time] = ["ce-id", "ce-type", "ce-time"].map((name) => message.header(name));
  if (!id || !type || !time) throw undecodable("it lacks a ce- header");
  try {
    return { id, type, time, data: JSON.parse(new TextDecoder().decode(message.data)), sequence: message.sequence };
  } catch {
    throw undecodable("the body is not JSON");
  }
}

function undecodable(why: string): PoisonError {
  return new PoisonError("EVENT_UNDECODABLE", `not a system event: ${why}`, {
    hint: "something else than Millrace published into MILLRACE_EVENTS; find it by the dead letter's headers",
  });
}
