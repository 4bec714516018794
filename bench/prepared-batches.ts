// What nats-server takes of copied rows whose messages are ready: no copy can be faster, whatever it is made of.

import { createInbox } from "@nats-io/transport-node";
import { publishRaw } from "../src/bus/jetstream/stream/raw-publish.ts";
import type { Ground } from "./ground.ts";

const BATCH = 1000;
const BATCHES = 100;
const STREAM = "PREPARED";

/**
 * Atomic batches of messages as the newest copied row of the source's stream, one batch after the other, into a stream of its own.
 * @param source its stream holds a copied row @returns messages a second
 */
export async function storePrepared({ streams, connection }: Ground, source: string): Promise<number> {
  const row = await streams.streams.getMessage(`CDC_${source.toUpperCase()}`, {
    last_by_subj: `cdc.${source}.*.*.read.*`,
  });
  if (row === null) throw new Error("the stream holds no copied row");
  const names = row.header.keys().filter((name) => !name.startsWith("Nats-"));
  const lines = names.map((name) => `${name}: ${row.header.get(name)}\r\n`).join("");
  await streams.streams.add({ name: STREAM, subjects: ["prepared.*"], allow_atomic: true });
  const inbox = createInbox();
  let stored = (): void => {};
  const acks = connection.subscribe(`${inbox}.*`, { callback: () => stored() });
  try {
    const batches = Array.from({ length: BATCHES }, (_, batch) =>
      Array.from({ length: BATCH }, (_, nth) => ({
        subject: `prepared.p${nth % 64}`,
        headers: Buffer.from(
          `NATS/1.0\r\n${lines}Nats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${nth + 1}\r\n${nth + 1 === BATCH ? "Nats-Batch-Commit: 1\r\n" : ""}\r\n`,
        ),
        data: row.data,
      })),
    );
    const start = performance.now();
    for (const [nth, batch] of batches.entries()) {
      const ack = new Promise<void>((resolve) => {
        stored = resolve;
      });
      publishRaw(connection, batch, `${inbox}.${nth}`);
      await ack;
    }
    const seconds = (performance.now() - start) / 1000;
    const { state } = await streams.streams.info(STREAM);
    if (state.messages !== BATCHES * BATCH) throw new Error(`${state.messages} messages are stored`);
    return (BATCHES * BATCH) / seconds;
  } finally {
    acks.unsubscribe();
    await streams.streams.delete(STREAM);
  }
}
