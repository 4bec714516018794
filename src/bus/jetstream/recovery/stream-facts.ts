// What a worker asks of its source's stream before it writes: gaps that are told of, and what a copy that goes on has not heard of.

import { collectionPlace } from "../../../event/collection-place.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { changeSubjectPrefix } from "../../../event/subject.ts";
import type { ChangesBehind, SourceStream, StoredChange } from "../../source-stream.ts";
import { isOwn, newestGap, recordedGap } from "../stream/own-markers.ts";
import type { StreamReader } from "../stream/port.ts";
import { pointsTo } from "./missing-bodies.ts";

export type StreamFacts = Pick<SourceStream, "recordedGap" | "newestGap" | "changesBehind">;

export function streamFacts(reader: StreamReader, source: SourceId): StreamFacts {
  return {
    recordedGap: () => recordedGap(reader, source),
    newestGap: () => newestGap(reader, source),
    changesBehind: (what) => changesBehind(reader, source, what),
  };
}

async function* changesBehind(
  stream: StreamReader,
  source: SourceId,
  { seq, namespace, collection, op }: ChangesBehind,
): AsyncGenerator<StoredChange, void> {
  const prefix = changeSubjectPrefix(source, namespace, collection, op);
  const place = collectionPlace(namespace, collection);
  for (let next = seq + 1; ; ) {
    const message = await stream.readNext(next, `${prefix}*`);
    if (message === undefined) return;
    next = message.seq + 1;
    if (!isOwn(source, message)) continue;
    const key = message.header("ce-subject")?.slice(place.length + 1) ?? "";
    yield { key, data: pointsTo(message) === undefined ? message.data : undefined };
  }
}
