// Tells of a gap before its marker is stored. Killed between the two, the source hands the marker out again, and it is told once
// more under the same id.

import type { SourceStream } from "../bus/bus.ts";
import type { Marker } from "../event/source-event.ts";
import type { SourceGap } from "../event/system-event.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { ToldMessage } from "./tell-schemas.ts";

export interface TellGapsOptions {
  readonly source: string;
  readonly stream: Pick<SourceStream, "newestGap">;
  /** Resolves when the other side of the bus is told. */
  readonly onGap: (gap: SourceGap) => Promise<void>;
  readonly log: Logger;
}

type GapMarker = Marker & { readonly gap: SourceGap };

/**
 * A chunk without those gaps that the stream holds already: a source that was killed before it knew hands them out again.
 * @throws TransientError
 */
export async function tellGaps(
  chunk: readonly ToldMessage[],
  { source, stream, onGap, log }: TellGapsOptions,
): Promise<readonly ToldMessage[]> {
  const gaps = chunk.filter(isGap);
  if (gaps.length === 0) return chunk;
  // They were found together, and the newest was stored last.
  if ((await stream.newestGap()) === gaps.at(-1)?.id) return chunk.filter((message) => !isGap(message));
  for (const { gap } of gaps) {
    await onGap(gap);
    const { code, reason, collections, after, upTo } = gap;
    log.warn(
      "source_gap",
      { source, code, ...(collections === undefined ? { after, upTo } : { collections }) },
      reason,
    );
  }
  return chunk;
}

function isGap(message: ToldMessage): message is GapMarker {
  return message.type === "marker" && message.gap !== undefined;
}
