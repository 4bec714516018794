// Reads a source's whole stream with the plain NATS client, as a subscriber in any language would.

import { DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Objm } from "@nats-io/obj";
import { connect, type NatsConnection } from "@nats-io/transport-node";

export interface StreamEvent {
  readonly sequence: number;
  readonly subject: string;
  readonly header: (name: string) => string | undefined;
  /** The body's text, fetched where the event only points to it. */
  readonly text: string;
}

/** All messages of a stream, oldest first; none when there is no such stream. */
export async function readStream(natsUrl: string, stream: string): Promise<readonly StreamEvent[]> {
  const events: StreamEvent[] = [];
  for await (const event of streamEvents(natsUrl, stream)) events.push(event);
  return events;
}

/** The same one after the other, for streams that are larger than memory: up to what was newest when it began. */
export async function* streamEvents(natsUrl: string, stream: string): AsyncGenerator<StreamEvent, void> {
  const connection = await connect({ servers: natsUrl, reconnect: false });
  try {
    const manager = await jetstreamManager(connection);
    const names = await manager.streams.names().next();
    if (!names.includes(stream)) return;
    const { state } = await manager.streams.info(stream);
    if (state.messages === 0) return;
    let next = state.first_seq;
    // On a machine with much to do a consumer may be gone before all is read: then another one goes on.
    while (next <= state.last_seq) {
      const from = { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: next };
      const consumer = await jetstream(connection).consumers.get(stream, from);
      for await (const message of await consumer.consume({ max_messages: 2_000 })) {
        const { headers } = message;
        const place = headers?.get("ce-dataref") ?? "";
        next = message.seq + 1;
        yield {
          sequence: message.seq,
          subject: message.subject,
          header: (name) => (headers?.has(name) === true ? headers.get(name) : undefined),
          text: place === "" ? message.string() : await largeBody(connection, place),
        };
        if (message.seq >= state.last_seq) break;
      }
    }
  } finally {
    await connection.close();
  }
}

/** By the client's own object store, which checks the digest. */
async function largeBody(connection: NatsConnection, place: string): Promise<string> {
  const [bucket = "", name = ""] = place.split("/");
  const body = await (await new Objm(connection).open(bucket)).getBlob(name);
  if (body === null) throw new Error(`no object ${place}`);
  return Buffer.from(body).toString("utf8");
}

/** How many `cdc.…` messages a stream holds. @throws Error when there is no such stream */
export async function countChanges(natsUrl: string, stream: string): Promise<number> {
  const connection = await connect({ servers: natsUrl, reconnect: false });
  try {
    const manager = await jetstreamManager(connection);
    const { state } = await manager.streams.info(stream, { subjects_filter: "cdc.>" });
    return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
  } finally {
    await connection.close();
  }
}

/** `Cdc-Pos` of a stream's newest message. */
export async function lastPosition(natsUrl: string, stream: string): Promise<string | undefined> {
  const connection = await connect({ servers: natsUrl, reconnect: false });
  try {
    const manager = await jetstreamManager(connection);
    const { state } = await manager.streams.info(stream);
    const message = await manager.streams.getMessage(stream, { seq: state.last_seq });
    return message?.header.get("Cdc-Pos") || undefined;
  } finally {
    await connection.close();
  }
}
