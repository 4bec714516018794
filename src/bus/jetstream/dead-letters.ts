// The stream `MILLRACE_DEAD`: what could not be handled, kept until a person decides.

import { setTimeout as sleep } from "node:timers/promises";
import { JetStreamApiError, jetstream } from "@nats-io/jetstream";
import { headers, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { PoisonError, TransientError } from "../../errors.ts";
import { busError } from "./bus-errors.ts";
import { makeSharedStream } from "./shared-stream.ts";

export const DEAD_STREAM = "MILLRACE_DEAD";
const retryMs = 500;

/** Stores one dead letter; see `Bus.deadLetter`. */
export type StoreDeadLetter = (subject: string, head: string, data: Uint8Array) => Promise<void>;

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
  return async (subject, head, data) => {
    const lines = parseHead(head);
    const limit = nc.info?.max_payload ?? 0;
    if (limit > 0 && head.length + data.length + 64 > limit) {
      throw new PoisonError(
        "DEAD_LETTER_TOO_LARGE",
        `a dead letter of ${data.length} bytes is larger than the bus takes`,
        { hint: "raise max_payload of nats-server" },
      );
    }
    for (;;) {
      try {
        await js.publish(subject, data, { headers: lines });
        return;
      } catch (thrown) {
        const error = busError(thrown, "store a dead letter");
        // An answer is for the caller to tell; only silence is waited out.
        if (thrown instanceof JetStreamApiError || !(error instanceof TransientError) || nc.isClosed()) throw error;
      }
      await sleep(retryMs);
      // Nobody answers for a stream that is not there either.
      await makeStream(nc, replicas).catch((error: unknown) => {
        if (!(error instanceof TransientError)) throw error;
      });
    }
  };
}

function makeStream(nc: NatsConnection, replicas: number): Promise<void> {
  return makeSharedStream(nc, { name: DEAD_STREAM, subjects: ["dead.>"], num_replicas: replicas });
}

function parseHead(head: string): MsgHdrs {
  const lines = headers();
  for (const line of head.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) lines.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return lines;
}
