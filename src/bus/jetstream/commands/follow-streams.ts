// Reads along with what is stored from now on, for a person at a terminal: in the stream's order, leaving no durable behind.

import {
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import { ConfigError } from "../../../errors.ts";
import type { StoredMessage } from "../../../event/parse-event.ts";
import { isSourceId } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { BusAccess } from "../client/access.ts";
import { busError } from "../client/bus-errors.ts";
import { Connection } from "../client/connection.ts";
import { asConsumer } from "../client/first-since.ts";

export interface TailOptions extends BusAccess {
  /** A whole subject, or a source's id; undefined means the events of all sources. */
  readonly filter: string | undefined;
  /** How many of those that are there already come first, of each stream; default: none. */
  readonly last?: number | undefined;
  readonly log: Logger;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Messages as they are stored, until the signal; several streams each in their own order.
 * @throws ConfigError TAIL_FILTER, TAIL_NO_STREAM, and what a bus that cannot serve throws; TransientError
 */
export async function* followStreams({
  filter,
  last = 0,
  signal,
  ...access
}: TailOptions): AsyncGenerator<StoredMessage> {
  const subject = subjectOf(filter);
  let connection: Connection;
  try {
    connection = await Connection.open({ ...access, signal });
  } catch (thrown) {
    if (signal.aborted) return;
    throw thrown;
  }
  const reading: Reading[] = [];
  const stop = (): void => {
    for (const { messages } of reading) messages.stop();
  };
  signal.addEventListener("abort", stop);
  try {
    reading.push(...(await follow(connection, subject, last)));
    if (signal.aborted) stop();
    yield* merged(reading.map(({ messages }) => messages));
  } catch (thrown) {
    if (!signal.aborted) throw busError(thrown, `read ${subject}`);
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
    // Courtesy: without it the server forgets them after five minutes.
    if (connection.connected) await Promise.allSettled(reading.map(({ consumer }) => consumer.delete()));
    await connection[Symbol.asyncDispose]();
  }
}

function subjectOf(filter: string | undefined): string {
  if (filter === undefined) return "cdc.>";
  if (isSourceId(filter)) return `cdc.${filter}.>`;
  const tokens = filter.split(".");
  const whole = /^(cdc|events|meta)$/.test(tokens[0] ?? "") && tokens.every((token) => /^([\w~-]+|\*|>)$/.test(token));
  // Without the lane's token it would match nothing, in silence.
  if (!whole || (tokens[0] === "cdc" && tokens.length !== 6 && tokens.at(-1) !== ">")) {
    throw new ConfigError("TAIL_FILTER", `${filter} is neither a source's id nor a whole subject`, {
      hint: "Write the whole subject, its lane included: cdc.shop.public.orders.created.* or cdc.shop.>",
    });
  }
  return filter;
}

interface Reading {
  readonly consumer: Consumer;
  readonly messages: ConsumerMessages;
}

async function follow({ nc }: Connection, subject: string, last: number): Promise<Reading[]> {
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const names: string[] = [];
  for await (const name of jsm.streams.names(subject)) names.push(name);
  if (names.length === 0) {
    throw new ConfigError("TAIL_NO_STREAM", `no stream holds ${subject}`, {
      hint: "Start `millrace run` first: a source's stream is made at its first start.",
    });
  }
  const js = jetstream(nc);
  return Promise.all(
    names.map(async (name) => {
      const first = await firstOfLast(jsm, name, subject, last);
      const consumer = await js.consumers.get(name, {
        filter_subjects: [subject],
        // By number, not by "new": a consumer that is made again after a lost connection goes on where this one was.
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: first,
      });
      return { consumer, messages: await consumer.consume() };
    }),
  );
}

/** Where to begin to have so many before what comes: the server counts by subject only from a number on, so it is halved. */
async function firstOfLast(jsm: JetStreamManager, stream: string, subject: string, last: number): Promise<number> {
  const { state } = await jsm.streams.info(stream);
  let [low, high] = [Math.max(state.first_seq, 1), state.last_seq + 1];
  if (last === 0) return high;
  // From `low` on there are enough, if there are; from `high` on there are not.
  while (high - low > 1) {
    const middle = low + Math.floor((high - low) / 2);
    if ((await countFrom(jsm, stream, subject, middle)) >= last) low = middle;
    else high = middle;
  }
  return low;
}

async function countFrom(jsm: JetStreamManager, stream: string, subject: string, from: number): Promise<number> {
  const start = { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from };
  return (await asConsumer(jsm, stream, { filter_subjects: [subject], ...start })).num_pending;
}

/** What any of them yields next, until all have ended. */
async function* merged(reading: readonly ConsumerMessages[]): AsyncGenerator<StoredMessage> {
  const next = new Map(
    reading.map((messages) => {
      const iterator = messages[Symbol.asyncIterator]();
      return [iterator, iterator.next().then((result) => ({ iterator, result }))] as const;
    }),
  );
  while (next.size > 0) {
    const { iterator, result } = await Promise.race(next.values());
    if (result.done) {
      next.delete(iterator);
      continue;
    }
    next.set(
      iterator,
      iterator.next().then((later) => ({ iterator, result: later })),
    );
    const message = result.value;
    yield {
      subject: message.subject,
      header: (name) => message.headers?.get(name) || undefined,
      data: message.data,
      sequence: message.seq,
    };
  }
}
