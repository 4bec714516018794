// The gap that a source's newest history begins behind, out of its stream: so that a worker that starts can say so too.

import type { SourceId } from "../../../event/source-id.ts";
import { metaSubject } from "../../../event/subject.ts";
import type { RecordedGap } from "../../bus.ts";
import { bodyOf, isOwn } from "./own-markers.ts";
import type { StreamReader } from "./port.ts";

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

/** Id of the newest gap marker, whatever it is about. @throws TransientError while the bus is away */
export async function newestGap(stream: StreamReader, source: SourceId): Promise<string | undefined> {
  const gap = await stream.readLast(metaSubject(source, "gap"));
  return gap !== undefined && isOwn(source, gap) ? gap.header("ce-id") : undefined;
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}
