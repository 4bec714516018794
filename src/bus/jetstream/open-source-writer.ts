// Opens the writer of one source's stream: the stream as the writer's port, the lease, and what else has to be there before it
// writes; tells of messages that are missing in the stream.

import type { JetStreamManager } from "@nats-io/jetstream";
import { realClock } from "../../clock.ts";
import { BugError, TransientError } from "../../errors.ts";
import { LARGE_BUCKET } from "../../event/data-ref.ts";
import type { Retention } from "../../event/retention.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Writer, WriterListener } from "../source-stream.ts";
import type { StateStore } from "../state-store.ts";
import type { LargeBodies } from "./bodies/large-bodies.ts";
import { STATE_BUCKET } from "./client/buckets.ts";
import { busError } from "./client/bus-errors.ts";
import type { Connection } from "./client/connection.ts";
import { DEAD_STREAM, type DeadLetters } from "./client/dead-letters.ts";
import { LOG_STREAM } from "./client/event-log.ts";
import { RETRY_STREAM, type RetryStream } from "./client/retry-stream.ts";
import { refuseUnfitShared } from "./client/shared-streams-check.ts";
import { refuseTakenSubjects } from "./client/streams.ts";
import type { StoredConnectorState } from "./lease/connector-state.ts";
import type { Fsync } from "./lease/horizon.ts";
import { leasePort } from "./lease/lease.ts";
import { readErased } from "./stream/erased.ts";
import { JetStreamPort } from "./stream/jetstream-port.ts";
import { openWriter } from "./writer/open-writer.ts";
import type { WriterTiming } from "./writer/writer-options.ts";

export interface SourceWriterOptions {
  readonly source: SourceId;
  readonly connection: Connection;
  readonly jsm: JetStreamManager;
  /** Names this worker in what it writes. */
  readonly instance: string;
  readonly leases: StateStore;
  readonly state: StateStore;
  /** What the source must not forget. */
  readonly memory: StoredConnectorState;
  readonly largeBodies: Pick<LargeBodies, "has">;
  readonly deadLetters: Pick<DeadLetters, "make">;
  readonly retries: Pick<RetryStream, "make">;
  readonly replicas: number;
  /** What a stream that is made keeps. */
  readonly retention: Retention | undefined;
  readonly fsync: Fsync;
  readonly timing: WriterTiming & { readonly ackTimeoutMs: number };
  readonly log: Logger;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  readonly on: WriterListener | undefined;
}

/** Waits for the lease, then for the bus; see `SourceStream.openWriter`. @throws ConfigError, FencedError, TransientError, BugError BUS_GIVEN_UP */
export async function openSourceWriter(options: SourceWriterOptions): Promise<Writer> {
  const { source, connection, jsm, instance, leases, state, memory, largeBodies, deadLetters, retries } = options;
  const { replicas, retention, fsync, timing, log, signal, on = {} } = options;
  if (connection.nc.isClosed()) {
    throw new BugError("BUS_GIVEN_UP", "the NATS client has closed its connection for good", {
      hint: "start the worker again; if it stays, see the server's log for why it refuses the client",
    });
  }
  const port = new JetStreamPort({
    connection,
    jsm,
    source,
    replicas,
    retention,
    beside: [`KV_${STATE_BUCKET}`, `OBJ_${LARGE_BUCKET}`, DEAD_STREAM, LOG_STREAM, RETRY_STREAM],
    ackTimeoutMs: timing.ackTimeoutMs,
  });
  try {
    // Before the first write: a start that is refused changes nothing.
    await refuseUnfitShared(jsm);
    if ((await port.info()) === undefined) await refuseTakenSubjects(jsm, source);
    let told: Promise<void> | undefined;
    const writer = await openWriter(port, source, {
      ...timing,
      clock: realClock,
      instance,
      leases: leasePort(whileConnected(connection, leases), source),
      state: whileConnected(connection, state),
      memory,
      fsync,
      log,
      hasBody: (ref) => largeBodies.has(ref),
      prepare: async () => {
        await deadLetters.make();
        await retries.make();
      },
      onForeign: (seq, subject) => log.error("bus_foreign_write", { source, seq, subject, code: "BUS_FOREIGN_WRITE" }),
      onRemoved: (range) => {
        told = tellRemoved(options, range);
      },
      onClosed: () => port[Symbol.asyncDispose](),
      signal,
      on,
    });
    await told;
    return writer;
  } catch (thrown) {
    await port[Symbol.asyncDispose]();
    throw busError(thrown, `open the stream of ${source}`);
  }
}

/** Says which messages are gone from the middle of a stream: an alarm, unless all of them were erased on purpose. Never rejects. */
async function tellRemoved(
  { source, jsm, log }: SourceWriterOptions,
  range: { readonly from: number; readonly to: number },
): Promise<void> {
  const erased = await readErased(jsm, source).catch(() => new Map<number, unknown>());
  const known = [...erased.keys()].filter((sequence) => sequence >= range.from && sequence <= range.to).length;
  const fields = { source, ...range, code: "BUS_MESSAGES_REMOVED" };
  if (known === range.to - range.from + 1) {
    log.info("bus_messages_removed", fields, "they were erased on purpose, by `millrace erase`");
    return;
  }
  const hint =
    "see who deletes messages, and that the stream has no limit per subject; `millrace verify` lists the holes";
  log.error("bus_messages_removed", { ...fields, hint }, "messages were taken out of the middle of the stream");
}

/** What is asked while the connection is down is never answered: each try would cost the client's whole timeout. */
function whileConnected(connection: Connection, { get, put }: StateStore): Pick<StateStore, "get" | "put"> {
  const check = async (): Promise<void> => {
    if (connection.connected) return;
    throw new TransientError("BUS_INTERRUPTED", "NATS is not connected", { hint: "it is tried again" });
  };
  return {
    get: (key) => check().then(() => get(key)),
    put: (key, value, revision) => check().then(() => put(key, value, revision)),
  };
}
