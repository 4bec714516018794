// Which markers in a stream are ours. Anybody may publish to their subjects: only what has our headers, and an id that fits
// the number it stands at, is believed; all else is foreign.

import type { Position } from "../../../event/position.ts";
import {
  comparePlace,
  type Place,
  type PlainPositions,
  type Positions,
  positionsFrom,
} from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { metaSubject } from "../../../event/subject.ts";
import type { GapData } from "../../../event/system-event.ts";
import type { RecordedGap, SideProgress } from "../../source-stream.ts";
import type { StoredMessage, StreamReader } from "./port.ts";

/** Numbers of a stream, both ends included. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Whether the message has our headers. */
export function isOwn(source: SourceId, message: StoredMessage): boolean {
  return message.header("ce-source") === `/${source}`;
}

/** Where a message says that the source is; undefined of one that says nothing, or is not ours. */
export function placeOf(source: SourceId, message: StoredMessage): Place | undefined {
  const position = isOwn(source, message) ? message.header("Cdc-Pos") : undefined;
  return position ? { partition: message.header("Cdc-Part"), position: position as Position } : undefined;
}

/** The lease number of a writer marker; undefined for any other message. */
export function writerLease(source: SourceId, message: StoredMessage): number | undefined {
  const numbers = markerNumbers(source, "writer", message);
  if (numbers === undefined || numbers.nth !== message.seq) return undefined;
  return bodyOf(message)?.lease === numbers.lease ? numbers.lease : undefined;
}

/** The first number of the range that a filling belongs to; undefined for any other message. */
export function lostFrom(source: SourceId, message: StoredMessage): number | undefined {
  if (markerNumbers(source, "lost", message)?.nth !== message.seq) return undefined;
  const from = bodyOf(message)?.from;
  return Number.isSafeInteger(from) && (from as number) > 0 && (from as number) <= message.seq
    ? (from as number)
    : undefined;
}

/**
 * Where the source went on from, by the marker that a writer leaves behind its own first one once it has dealt with a loss;
 * null for nowhere. Undefined for any other message.
 */
export function resumedAt(source: SourceId, message: StoredMessage): Positions | null | undefined {
  if (markerNumbers(source, "history", message)?.nth !== message.seq - 1) return undefined;
  const { lost, resume } = bodyOf(message) ?? {};
  const place = placeOf(source, message);
  if (lost === undefined || resume === undefined) return undefined;
  if (place === undefined || resume === null) return place === undefined && resume === null ? null : undefined;
  const resumed = positionsFrom(resume as PlainPositions);
  return comparePlace(place, resumed) === 0 ? resumed : undefined;
}

/** How far a second producer is, by its progress marker; undefined for any other message. */
export function progressOf(source: SourceId, message: StoredMessage): SideProgress | undefined {
  if (markerNumbers(source, "backfill", message)?.nth !== message.seq) return undefined;
  const value = bodyOf(message);
  return value && { id: message.header("ce-id") as string, value };
}

/** Lease and number in the id of a marker of this kind, `<source>.<kind>.<lease>.<number>`. */
function markerNumbers(
  source: SourceId,
  kind: "writer" | "lost" | "history" | "backfill",
  message: StoredMessage,
): { readonly lease: number; readonly nth: number } | undefined {
  if (message.subject !== metaSubject(source, kind) || !isOwn(source, message)) return undefined;
  const prefix = `${source}.${kind}.`;
  const id = message.header("ce-id") ?? "";
  const [, lease, nth] = (id.startsWith(prefix) && /^(\d{1,15})\.(\d{1,15})$/.exec(id.slice(prefix.length))) || [];
  return lease === undefined ? undefined : { lease: Number(lease), nth: Number(nth) };
}

/** The object that the body of a marker is; undefined when it is none. */
export function bodyOf(message: Pick<StoredMessage, "data">): Readonly<Record<string, unknown>> | undefined {
  try {
    const body: unknown = JSON.parse(Buffer.from(message.data).toString("utf8"));
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Not simply the newest `gap` marker: one of a table that joined says nothing of the log. Two reads at most.
 * @throws TransientError while the bus is away
 */
export async function recordedGap(stream: StreamReader, source: SourceId): Promise<RecordedGap | undefined> {
  const history = await stream.readLast(metaSubject(source, "history"));
  if (history === undefined || history.seq === 1) return undefined;
  // The two are stored together.
  const gap = await stream.read(history.seq - 1);
  if (gap?.subject !== metaSubject(source, "gap") || !isOwn(source, gap) || !isOwn(source, history)) return undefined;
  const { code = null, after = null, upTo } = bodyOf(gap) ?? {};
  const at = Date.parse(gap.header("ce-time") ?? "");
  if (!isTextOrNull(code) || !isTextOrNull(after) || typeof upTo !== "string" || Number.isNaN(at)) return undefined;
  return { code, after, upTo, agoMs: Math.max(0, Date.now() - at) };
}

/** What the newest gap marker says, whatever it is about. @throws TransientError while the bus is away */
export async function newestGapData(
  stream: StreamReader,
  source: SourceId,
): Promise<(Pick<GapData, "code" | "after" | "upTo" | "collections"> & { readonly partition?: string }) | undefined> {
  const gap = await stream.readLast(metaSubject(source, "gap"));
  if (gap === undefined || !isOwn(source, gap)) return undefined;
  const { code = null, after = null, upTo, collections } = bodyOf(gap) ?? {};
  const partition = gap.header("Cdc-Part");
  if (!isTextOrNull(code) || !isTextOrNull(after) || typeof upTo !== "string") return undefined;
  return {
    ...{ code, after, upTo },
    ...(Array.isArray(collections) && { collections: collections.map(String) }),
    ...(partition !== undefined && { partition }),
  };
}

/** Id of the newest gap marker, whatever it is about. @throws TransientError while the bus is away */
export async function newestGap(stream: StreamReader, source: SourceId): Promise<string | undefined> {
  const gap = await stream.readLast(metaSubject(source, "gap"));
  return gap !== undefined && isOwn(source, gap) ? gap.header("ce-id") : undefined;
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}
