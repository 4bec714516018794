// Takes away the bodies of a source's large events, once its stream is gone and nothing points to them.

import type { JetStreamManager } from "@nats-io/jetstream";
import { LARGE_BUCKET } from "../../../event/data-ref.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { apiCodes } from "../client/api-codes.ts";
import { LARGE_STREAM } from "../client/buckets.ts";
import { isApiError } from "../client/bus-errors.ts";
import { chunkSubject } from "./large-bodies.ts";

const ENTRIES = `$O.${LARGE_BUCKET}.M.`;

/** What is not there is fine. */
export async function removeLargeBodies({ streams }: JetStreamManager, source: SourceId): Promise<void> {
  try {
    const { state } = await streams.info(LARGE_STREAM, { subjects_filter: `${ENTRIES}>` });
    for (const subject of Object.keys(state.subjects ?? {})) {
      // An entry's name begins with the id of its event, and that with the source's.
      const name = Buffer.from(subject.slice(ENTRIES.length), "base64url").toString();
      if (!name.startsWith(`${source}.`)) continue;
      const entry = await streams.getMessage(LARGE_STREAM, { last_by_subj: subject });
      const nuid = entry?.json<{ readonly nuid?: unknown }>().nuid;
      if (typeof nuid === "string") await streams.purge(LARGE_STREAM, { filter: chunkSubject(nuid) });
      await streams.purge(LARGE_STREAM, { filter: subject }); // last: without it its chunks are not found again
    }
  } catch (error) {
    if (!isApiError(error, apiCodes.streamNotFound)) throw error;
  }
}
