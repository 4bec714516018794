// The stream `MILLRACE_RETRY`: what waits for a long retry, and replays, until the automation that it waits for has acked it.

import { JetStreamApiError, type JetStreamManager, jetstream, RetentionPolicy } from "@nats-io/jetstream";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import { decodeRetry, encodeRetry, type RetryMessage } from "../../../event/retry-message.ts";
import { retryId, streamName } from "../../../event/source-id.ts";
import { asked, busError } from "./bus-errors.ts";
import { headersOf, makeSharedStream, parseHead } from "./shared-stream.ts";
import { messagesUnder } from "./streams.ts";

export const RETRY_STREAM: string = streamName(retryId);
/** Whoever stored one and was killed before it acked the event stores it once more when it is back. */
const DUPLICATE_WINDOW_MS = 60 * 60_000;
const DEFAULT_MAX_PAYLOAD = 1024 * 1024;

export interface RetryStream {
  /** Makes the stream when it is missing. @throws TransientError, ConfigError */
  make(): Promise<void>;
  /** See `Bus.later`. */
  store(message: RetryMessage): Promise<number | undefined>;
}

/** The stream is made by `make`, or with its first message; also for a command, which has a connection and no bus. */
export function openRetryStream(nc: NatsConnection, { replicas }: { readonly replicas: number }): RetryStream {
  const js = jetstream(nc);
  const make = (): Promise<void> =>
    makeSharedStream(
      nc,
      {
        name: RETRY_STREAM,
        subjects: ["retry.>"],
        num_replicas: replicas,
        // What is acked goes; what waits for a durable that does not exist yet stays.
        retention: RetentionPolicy.Workqueue,
        duplicate_window: nanos(DUPLICATE_WINDOW_MS),
      },
      { workqueue: true },
    );
  return {
    make,
    store: async (message) => {
      const { subject, id, head, data } = encodeRetry(message, nc.info?.max_payload ?? DEFAULT_MAX_PAYLOAD);
      const send = async (): Promise<number | undefined> => {
        const options = { msgID: id, headers: parseHead(head), expect: { streamName: RETRY_STREAM } };
        const { duplicate, seq } = await js.publish(subject, data, options);
        return duplicate ? seq : undefined;
      };
      try {
        return await send();
      } catch (thrown) {
        if (thrown instanceof JetStreamApiError) throw busError(thrown, `store a message in ${RETRY_STREAM}`);
        // Nobody answers for a stream that is not there either.
        await make();
        return asked(`store a message in ${RETRY_STREAM}`, send);
      }
    },
  };
}

/** A message that waits, of which event of a stream. */
export interface WaitingRetry {
  /** Its number in MILLRACE_RETRY. */
  readonly at: number;
  readonly automation: string;
  readonly sequence: number;
  readonly subject: string;
  /** `ce-id`. */
  readonly id: string;
}

/** What waits there of the events of one stream. @throws what the client throws */
export async function* waitingOf(jsm: JetStreamManager, stream: string): AsyncGenerator<WaitingRetry> {
  for await (const { seq: at, subject: mine, header } of messagesUnder(jsm, RETRY_STREAM, "retry.>")) {
    const found = decodeRetry(headersOf(header));
    if (found?.stream !== stream) continue;
    const { sequence, subject, headers } = found;
    yield { at, automation: mine.slice("retry.".length), sequence, subject, id: headers["ce-id"] ?? "" };
  }
}
