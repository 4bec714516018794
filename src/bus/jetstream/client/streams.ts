// A source's stream: how it is made, and what an existing one must have.

import {
  DiscardPolicy,
  type JetStreamManager,
  type MsgRequest,
  RetentionPolicy,
  StorageType,
  type StoredMsg,
  type StreamInfo,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { ConfigError } from "../../../errors.ts";
import type { Retention } from "../../../event/retention.ts";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import { apiCodes } from "./api-codes.ts";
import { asked, busError, isApiError, orNothing } from "./bus-errors.ts";
import type { Needs } from "./stream-fitness.ts";

/** How long a source's stream keeps an event, where the configuration does not say. */
const MAX_AGE_MS: number = 7 * 24 * 60 * 60 * 1000;
/** The part of the account's free storage that one new stream may fill. */
const STORAGE_SHARE = 0.8;

/** The stream's state and settings; undefined when there is none. @throws TransientError, ConfigError */
export function findStream({ streams }: JetStreamManager, source: SourceId): Promise<StreamInfo | undefined> {
  const name = streamName(source);
  return asked(`read the stream ${name}`, () => orNothing(streams.info(name), apiCodes.streamNotFound));
}

/** All messages of a stream under subjects, the oldest first; none where there is no stream. @param from only those stored then or later, or from this number on */
export async function* messagesUnder(
  { streams }: JetStreamManager,
  stream: string,
  subjects: string,
  from: Date | number = 1,
): AsyncGenerator<StoredMsg> {
  for (let start = from; ; ) {
    const query: object = {
      ...(typeof start === "number" ? { seq: start } : { start_time: start }),
      next_by_subj: subjects,
    };
    const next = streams.getMessage(stream, query as MsgRequest); // whose types lack the time, which servers take from 2.11 on
    const message = await orNothing(next, apiCodes.streamNotFound, apiCodes.noMessageFound);
    if (!message) return;
    yield message;
    start = message.seq + 1;
  }
}

function subjectsOf(source: SourceId): string[] {
  return [`cdc.${source}.>`, `events.${source}.>`, `meta.${source}.>`];
}

/** @throws ConfigError when a stream captures subjects of a source that has none yet; TransientError */
export function refuseTakenSubjects(jsm: JetStreamManager, source: SourceId): Promise<void> {
  return asked(`look for streams with the subjects of ${source}`, async () => {
    for (const subject of subjectsOf(source)) {
      for await (const owner of jsm.streams.names(subject)) {
        if (owner === streamName(source)) continue; // another worker has just made it
        throw new ConfigError("BUS_SUBJECTS_TAKEN", `the stream ${owner} captures subjects under ${subject}`, {
          hint: "remove them from that stream, or give the source another id",
        });
      }
    }
  });
}

/**
 * Makes the stream of a source as design and docs/wire.md say.
 * @param firstSeq number of its first message: one more than any number ever given
 * @throws ConfigError when the subjects belong to another stream or the limits do not allow it; TransientError
 */
export async function createStream(
  jsm: JetStreamManager,
  source: SourceId,
  {
    replicas,
    firstSeq,
    retention: { ageMs = MAX_AGE_MS, bytes, discard = "old" } = {},
  }: { readonly replicas: number; readonly firstSeq: number; readonly retention?: Retention | undefined },
): Promise<StreamInfo> {
  const name = streamName(source);
  try {
    const { limits, storage } = await jsm.getAccountInfo();
    const free = limits.max_storage < 0 ? -1 : Math.max(limits.max_storage - storage, 0);
    return await jsm.streams.add({
      name,
      subjects: subjectsOf(source),
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      discard: discard === "old" ? DiscardPolicy.Old : DiscardPolicy.New,
      num_replicas: replicas,
      max_age: ageMs === Number.POSITIVE_INFINITY ? 0 : nanos(ageMs),
      max_bytes: bytes ?? (free < 0 ? -1 : Math.floor((free * STORAGE_SHARE) / replicas)),
      allow_atomic: true,
      allow_direct: true,
      // Not deny_delete, which can never be taken back: what the law wants erased can be, and who deletes else is found out.
      deny_purge: true,
      ...(firstSeq > 1 ? { first_seq: firstSeq } : {}),
    });
  } catch (thrown) {
    // Another worker was quicker, with another part of the storage that is free: that one is as good.
    const made = isApiError(thrown, apiCodes.streamNameInUse) ? await findStream(jsm, source) : undefined;
    if (made !== undefined) return made;
    throw busError(thrown, `make the stream ${name}`);
  }
}

/** What a source's stream must be like. @param maxPayload of the server */
export function needsOf(source: SourceId, maxPayload: number | undefined): Needs {
  return { subjects: subjectsOf(source), atomic: true, maxPayload };
}
