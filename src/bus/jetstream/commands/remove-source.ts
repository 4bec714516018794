// What a source has on the bus, shown and taken away: its stream with all subscriptions, and what is on record of it.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { backfillKey } from "../../../event/control.ts";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import { removeLargeBodies } from "../bodies/large-bodies.ts";
import type { BusAccess } from "../client/access.ts";
import { apiCodes } from "../client/api-codes.ts";
import { LEASE_BUCKET, SCHEMA_BUCKET, STATE_BUCKET } from "../client/buckets.ts";
import { asked, orNothing } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import { DEAD_STREAM } from "../client/dead-letters.ts";
import { RETRY_STREAM, waitingOf } from "../client/retry-stream.ts";
import { findStream } from "../client/streams.ts";
import { MADE_FOR_AUTOMATION } from "../consumer/durable-settings.ts";
import { accountedKey } from "../consumer/watermark-record.ts";
import { checkpointKey, idleKey } from "../lease/checkpoint-store.ts";
import { memoryKey } from "../lease/connector-state.ts";
import { erasedKey } from "../stream/erased.ts";

export interface SourceOnBus {
  readonly stream: string;
  readonly messages: number;
  readonly bytes: number;
  /** The durables of automations and of anybody else. */
  readonly durables: readonly {
    readonly name: string;
    readonly pending: number;
    /** Whether an automation has made it. */
    readonly automation: boolean;
  }[];
}

export interface BusOptions extends BusAccess {
  readonly signal: AbortSignal;
}

/** Null when there is no stream. @throws ConfigError, TransientError */
export async function findSourceOnBus(source: SourceId, options: BusOptions): Promise<SourceOnBus | null> {
  return onBus(options, "look at the stream", async (jsm) => {
    const stream = await findStream(jsm, source);
    if (stream === undefined) return null;
    const durables: SourceOnBus["durables"][number][] = [];
    for await (const { name, config, num_pending } of jsm.consumers.list(streamName(source))) {
      if (config.durable_name === undefined) continue;
      const automation = config.metadata?.millrace === MADE_FOR_AUTOMATION.millrace;
      durables.push({ name, pending: num_pending, automation });
    }
    return { stream: streamName(source), messages: stream.state.messages, bytes: stream.state.bytes, durables };
  });
}

/**
 * The stream, its subscriptions, the bodies of its large events, what of its events waits for a retry, the dead letters of its
 * rows, and every record of the source; what is not there is fine.
 * @throws ConfigError, TransientError
 */
export async function removeSourceFromBus(source: SourceId, options: BusOptions): Promise<void> {
  const stream = streamName(source);
  const records: readonly (readonly [bucket: string, key: string])[] = [
    [STATE_BUCKET, memoryKey(source)],
    [STATE_BUCKET, checkpointKey(source)],
    [STATE_BUCKET, idleKey(source)],
    [STATE_BUCKET, backfillKey(source)],
    [STATE_BUCKET, `attempts.*.${stream}.*`],
    [STATE_BUCKET, `attempts.*.${RETRY_STREAM}.${stream}.>`],
    [STATE_BUCKET, `settled.*.${stream}.*`],
    [STATE_BUCKET, accountedKey("*", stream)],
    [STATE_BUCKET, `guard.${source}.>`],
    [STATE_BUCKET, erasedKey(source, "*")],
    [LEASE_BUCKET, source],
    [SCHEMA_BUCKET, source],
    [SCHEMA_BUCKET, `${source}.>`],
  ];
  await onBus(options, `remove the stream ${stream}`, async (jsm) => {
    const { streams } = jsm;
    await orNothing(streams.delete(stream), apiCodes.streamNotFound);
    await removeLargeBodies(jsm, source);
    for await (const { at } of waitingOf(jsm, stream))
      await orNothing(streams.deleteMessage(RETRY_STREAM, at), apiCodes.noMessageFound);
    await orNothing(streams.purge(DEAD_STREAM, { filter: `dead._source.${source}` }), apiCodes.streamNotFound);
    for (const [bucket, key] of records)
      await orNothing(streams.purge(`KV_${bucket}`, { filter: `$KV.${bucket}.${key}` }), apiCodes.streamNotFound);
  });
}

async function onBus<Result>(
  { signal, ...access }: BusOptions,
  doing: string,
  use: (jsm: JetStreamManager) => Promise<Result>,
): Promise<Result> {
  return asked(doing, async () => {
    await using connection = await connectOnce(access, signal);
    return await use(await jetstreamManager(connection.nc, { checkAPI: false }));
  });
}
