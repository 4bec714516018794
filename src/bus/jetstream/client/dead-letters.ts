// The stream `MILLRACE_DEAD`: what could not be handled, kept until a person decides.

import { once } from "node:events";
import { JetStreamApiError, type JetStreamManager, jetstream } from "@nats-io/jetstream";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import { realClock } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import type { Bus } from "../../bus.ts";
import { deadLetterTooLarge } from "../../shared-errors.ts";
import { asked, busError } from "./bus-errors.ts";
import { makeSharedStream, parseHead } from "./shared-stream.ts";
import { MSG_ID, type Sought, StoredSince } from "./stored-since.ts";

export const DEAD_STREAM = "MILLRACE_DEAD";
/** For who is killed behind a letter, and stores it once more when it is back: of rows of a source nothing else knows that. */
const DUPLICATE_WINDOW_MS = 60 * 60_000;
const retryMs = 500;
const never = new AbortController().signal;

/** Stores one dead letter; see `Bus.deadLetter`. */
export type StoreDeadLetter = Bus["deadLetter"];

export interface DeadLetters {
  /** Makes the stream when it is missing, so that a limit in its way is told at a start. @throws TransientError, ConfigError */
  make(): Promise<void>;
  readonly store: StoreDeadLetter;
}

/** The stream is made by `make`, or with its first letter. */
export function openDeadLetters(
  nc: NatsConnection,
  { jsm, replicas }: { readonly jsm: JetStreamManager; readonly replicas: number },
): DeadLetters {
  const earlier = new StoredSince(jsm, DEAD_STREAM);
  return { make: () => makeStream(nc, replicas), store: storeDeadLetter(nc, replicas, earlier) };
}

function storeDeadLetter(nc: NatsConnection, replicas: number, earlier: StoredSince): StoreDeadLetter {
  const js = jetstream(nc);
  const stands = async (letter: Sought): Promise<boolean> => {
    if (letter.id === "") return false;
    const look = () => earlier.find(letter);
    return (await asked("look for a dead letter that may be stored already", look)) !== undefined;
  };
  return async (subject, head, data, { signal = never, since } = {}) => {
    const began = Date.now();
    const lines = parseHead(head);
    const id = lines.get(MSG_ID);
    const limit = nc.info?.max_payload ?? 0;
    if (limit > 0 && head.length + data.length + 64 > limit) throw deadLetterTooLarge(data.length);
    for (let mayStandSince = since; ; mayStandSince ??= began) {
      try {
        signal.throwIfAborted();
        const may = mayStandSince !== undefined && { subject, id, since: mayStandSince };
        if (may && (await until(signal, stands(may)))) return;
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
  const duplicate_window = nanos(DUPLICATE_WINDOW_MS);
  return makeSharedStream(nc, { name: DEAD_STREAM, subjects: ["dead.>"], num_replicas: replicas, duplicate_window });
}
