// Samples what the database was told and then what the stream held: the first may never be ahead of the second.

import { setTimeout as delay } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Client } from "pg";
import type { AcknowledgeSample } from "../check/guarantees.ts";

/**
 * Samples until stopped; while a server is away there is no sample.
 * @param slot the worker's
 * @param everyMs default 100
 */
export function watchAcknowledged(options: {
  readonly url: string;
  readonly slot: string;
  readonly natsUrl: string;
  readonly stream: string;
  readonly everyMs?: number;
}): { stop(): Promise<readonly AcknowledgeSample[]> } {
  const samples: AcknowledgeSample[] = [];
  const stopping = new AbortController();
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await sample(options).then(
        (taken) => samples.push(...taken),
        () => {},
      );
      await delay(options.everyMs ?? 100);
    }
  };
  const running = loop();
  return {
    stop: async () => {
      stopping.abort();
      await running;
      return samples;
    },
  };
}

async function sample(options: Parameters<typeof watchAcknowledged>[0]): Promise<readonly AcknowledgeSample[]> {
  const client = new Client({ connectionString: options.url, connectionTimeoutMillis: 1_000 });
  client.on("error", () => {}); // then there is no sample
  let confirmed: string | undefined;
  try {
    await client.connect();
    const { rows } = await client.query<{ at: string }>(
      "select pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::text as at from pg_replication_slots where slot_name = $1",
      [options.slot],
    );
    confirmed = rows[0]?.at;
  } finally {
    await client.end();
  }
  if (confirmed === undefined) return [];
  const connection = await connect({ servers: options.natsUrl, reconnect: false, timeout: 1_000 });
  try {
    const manager = await jetstreamManager(connection, { timeout: 1_000 });
    const { state } = await manager.streams.info(options.stream);
    return [{ confirmedFlush: BigInt(confirmed), streamSequence: state.last_seq }];
  } finally {
    await connection.close();
  }
}
