// The stream `MILLRACE_DEAD`: what could not be handled, kept until a person decides.

import { once } from "node:events";
import { JetStreamApiError, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { realClock } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import { deadLetterTooLarge } from "../../shared-errors.ts";
import { busError } from "./bus-errors.ts";
import { makeSharedStream, parseHead } from "./shared-stream.ts";

export const DEAD_STREAM = "MILLRACE_DEAD";
const retryMs = 500;
const never = new AbortController().signal;

/** Stores one dead letter; see `Bus.deadLetter`. */
export type StoreDeadLetter = (subject: string, head: string, data: Uint8Array, signal?: AbortSignal) => Promise<void>;

export interface DeadLetters {
  /** Makes the stream when it is missing, so that a limit in its way is told at a start. @throws TransientError, ConfigError */
  make(): Promise<void>;
  readonly store: StoreDeadLetter;
}

/** The stream is made by `make`, or with its first letter. */
export function openDeadLetters(nc: NatsConnection, { replicas }: { readonly replicas: number }): DeadLetters {
  return { make: () => makeStream(nc, replicas), store: storeDeadLetter(nc, replicas) };
}

function storeDeadLetter(nc: NatsConnection, replicas: number): StoreDeadLetter {
  const js = jetstream(nc);
  return async (subject, head, data, signal = never) => {
    const lines = parseHead(head);
    const limit = nc.info?.max_payload ?? 0;
    if (limit > 0 && head.length + data.length + 64 > limit) throw deadLetterTooLarge(data.length);
    for (;;) {
      try {
        signal.throwIfAborted();
        await until(signal, js.publish(subject, data, { headers: lines }));
        return;
      } catch (thrown) {
        const error = busError(thrown, "store a dead letter");
        // An answer is for the caller to tell; only silence is waited out.
        if (thrown instanceof JetStreamApiError || !(error instanceof TransientError) || nc.isClosed()) throw error;
        if (signal.aborted) throw error;
      }
      await realClock.sleep(retryMs, signal); // the next try tells
      // Nobody answers for a stream that is not there either.
      await until(signal, makeStream(nc, replicas)).catch((error: unknown) => {
        if (!signal.aborted && !(error instanceof TransientError)) throw error;
      });
    }
  };
}

/** What is asked of a bus that is away takes seconds to fail. @throws the signal's reason */
async function until<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const done = new AbortController();
  const aborted = once(signal, "abort", { signal: done.signal }).then(() => signal.throwIfAborted());
  try {
    return (await Promise.race([work, aborted])) as T;
  } finally {
    done.abort();
    work.catch(() => {}); // nobody waits for it any more
  }
}

function makeStream(nc: NatsConnection, replicas: number): Promise<void> {
  return makeSharedStream(nc, { name: DEAD_STREAM, subjects: ["dead.>"], num_replicas: replicas });
}
