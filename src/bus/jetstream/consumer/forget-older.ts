// Takes away the durables that a seek has left, and what is on record of them.

import type { JetStreamManager } from "@nats-io/jetstream";
import { durableOwner, isOlderDurable, seekRun } from "../../../event/control.ts";
import { apiCodes } from "../client/api-codes.ts";
import { STATE_BUCKET } from "../client/buckets.ts";
import { asked, orNothing } from "../client/bus-errors.ts";
import { accountedKey } from "./watermark-record.ts";

/**
 * Those that the same automation had on a stream before this durable. Killed in between, it is done again by whoever comes next:
 * the record goes before the durable, so that what is left is still found. @throws MillraceError
 */
export function forgetOlder(jsm: JetStreamManager, stream: string, durable: string): Promise<void> {
  return asked(`take away the durables of ${stream} before ${durable}`, async () => {
    const older: string[] = [];
    for await (const { name } of jsm.consumers.list(stream)) if (isOlderDurable(name, durable)) older.push(name);
    for (const name of older) {
      const { automation, seek } = durableOwner(name);
      const run = seek === 0 ? "" : `.${seekRun({ n: seek })}`;
      const kept = [`attempts.${automation}.${stream}.*${run}`, accountedKey(name, stream)];
      for (const key of kept)
        await orNothing(
          jsm.streams.purge(`KV_${STATE_BUCKET}`, { filter: `$KV.${STATE_BUCKET}.${key}` }),
          apiCodes.streamNotFound,
        );
      await orNothing(jsm.consumers.delete(stream, name), apiCodes.consumerNotFound);
    }
  });
}
