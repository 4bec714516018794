// The streams beside those of sources, and whether they can serve where somebody made or edited them.

import type { JetStreamManager } from "@nats-io/jetstream";
import { retryId, streamName, systemId } from "../../../event/source-id.ts";
import { apiCodes } from "./api-codes.ts";
import { LARGE_STREAM, LEASE_BUCKET, SCHEMA_BUCKET, STATE_BUCKET } from "./buckets.ts";
import { asked, orNothing } from "./bus-errors.ts";
import { DEAD_STREAM } from "./dead-letters.ts";
import { LOG_STREAM } from "./event-log.ts";
import { type Needs, type Unfit, unfitError, unfitSettings } from "./stream-fitness.ts";

interface SharedStreamNeeds {
  readonly name: string;
  /** Made at the first start, or once there is something for it. */
  readonly made: "start" | "later";
  readonly needs: Needs;
}

const SHARED: readonly SharedStreamNeeds[] = [
  bucket(LEASE_BUCKET, "leases"),
  bucket(STATE_BUCKET, "kept"),
  bucket(SCHEMA_BUCKET, "kept"),
  { name: DEAD_STREAM, made: "start", needs: { subjects: ["dead.>"] } },
  { name: LOG_STREAM, made: "start", needs: { subjects: ["log.>"] } },
  { name: streamName(retryId), made: "start", needs: { subjects: ["retry.>"], workqueue: true } },
  { name: streamName(systemId), made: "later", needs: { subjects: ["events._system.>"] } },
  {
    name: LARGE_STREAM,
    made: "later",
    needs: { subjects: ["$O.millrace_large.C.>", "$O.millrace_large.M.>"], direct: true },
  },
];

function bucket(name: string, kind: "kept" | "leases"): SharedStreamNeeds {
  return { name: `KV_${name}`, made: "start", needs: { subjects: [`$KV.${name}.>`], bucket: kind } };
}

export function namesOf(made: SharedStreamNeeds["made"]): readonly string[] {
  return SHARED.filter((stream) => stream.made === made).map(({ name }) => name);
}

/** Reads the shared streams that are there, and what is unfit in them. @throws TransientError, ConfigError */
export async function readUnfitStreams({
  streams,
}: JetStreamManager): Promise<readonly { readonly name: string; readonly unfit: readonly Unfit[] }[]> {
  return Promise.all(
    SHARED.map(async ({ name, needs }) => {
      const ask = () => orNothing(streams.info(name), apiCodes.streamNotFound);
      const found = await asked(`read the stream ${name}`, ask);
      return { name, unfit: found === undefined ? [] : unfitSettings(found.config, needs) };
    }),
  );
}

/** @throws ConfigError STREAM_SEALED, STREAM_UNFIT, the first of what is wrong; TransientError */
export async function refuseUnfitShared(jsm: JetStreamManager): Promise<void> {
  for (const { name, unfit } of await readUnfitStreams(jsm))
    for (const setting of unfit) throw unfitError(name, setting);
}
