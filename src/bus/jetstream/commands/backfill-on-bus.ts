// What the bus holds of copies of existing rows, for who steers them: with a worker that runs, and without.

import { jetstreamManager } from "@nats-io/jetstream";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import { metaSubject } from "../../../event/subject.ts";
import type { SideProgress, StateStore } from "../../bus.ts";
import type { BusAccess } from "../client/access.ts";
import { STATE_BUCKET } from "../client/buckets.ts";
import { asked } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import { openStateStore } from "../client/state-store.ts";
import { findStream } from "../client/streams.ts";
import { streamReader } from "../stream/jetstream-port.ts";
import { progressOf } from "../stream/own-markers.ts";

export interface BackfillOnBus extends AsyncDisposable {
  readonly state: StateStore;
  /** What the newest marker of the source's stream says; undefined where it has none. @throws TransientError */
  newest(source: SourceId): Promise<SideProgress["value"] | undefined>;
}

/** Connects. @throws ConfigError, TransientError */
export async function openBackfillOnBus({
  signal,
  replicas,
  ...access
}: BusAccess & { readonly replicas: number; readonly signal: AbortSignal }): Promise<BackfillOnBus> {
  const connection = await connectOnce(access, signal);
  try {
    const jsm = await jetstreamManager(connection.nc, { checkAPI: false });
    return {
      state: await openStateStore(connection.nc, { bucket: STATE_BUCKET, replicas }),
      newest: (source) =>
        asked(`look how far the copy of ${source} is`, async () => {
          if ((await findStream(jsm, source)) === undefined) return undefined;
          const marker = await streamReader(jsm, streamName(source)).readLast(metaSubject(source, "backfill"));
          return marker && progressOf(source, marker)?.value;
        }),
      [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
    };
  } catch (thrown) {
    await connection[Symbol.asyncDispose]();
    throw thrown;
  }
}
