// The stream `MILLRACE_LOG`: what became of each event in each automation, kept for a while.

import { JetStreamApiError } from "@nats-io/jetstream";
import { createInbox, type Msg, nanos } from "@nats-io/transport-node";
import { BugError, ConfigError, type MillraceError, TransientError } from "../../../errors.ts";
import type { LogRecord } from "../../bus.ts";
import { busError } from "./bus-errors.ts";
import type { Connection } from "./connection.ts";
import { makeSharedStream } from "./shared-stream.ts";

export const LOG_STREAM = "MILLRACE_LOG";
/** As long as the events that it is about, where nobody says otherwise. */
const MAX_AGE_MS = 7 * 24 * 60 * 60_000;
/** The part of the account's free storage that it may fill: it must not take from the events that it is about. */
const STORAGE_SHARE = 0.1;
const ACK_TIMEOUT_MS = 5000;

export interface EventLogOptions {
  readonly connection: Connection;
  readonly replicas: number;
}

/** Records that are under way together. */
interface Flight {
  readonly subjects: ReadonlySet<string>;
  readonly resolve: () => void;
  readonly reject: (error: MillraceError) => void;
  readonly timer: NodeJS.Timeout;
  unanswered: number;
}

/** Publishes on an inbox of its own: the client's `publish` of JetStream costs several times the work. */
export class EventLog {
  readonly #options: EventLogOptions;
  readonly #inbox: string = `${createInbox()}.`;
  readonly #flights = new Map<number, Flight>();
  #count = 0;
  /** Nobody listens for its subjects: the stream was deleted, or has no leader for now. */
  #gone = false;

  constructor(options: EventLogOptions) {
    const { connection } = options;
    this.#options = options;
    connection.nc.subscribe(`${this.#inbox}*`, { callback: (error, message) => this.#answered(error, message) });
    // What was under way may be lost, and what was not may have been answered: whoever waits sends it again.
    connection.onDisruption(() => {
      for (const number of this.#flights.keys()) this.#fail(number, interrupted());
    });
    connection.onPublishRefused((subject) => {
      for (const [number, { subjects }] of this.#flights)
        if (subjects.has(subject)) this.#fail(number, refused(subject));
    });
  }

  /** Makes the stream when it is missing. @throws TransientError, ConfigError */
  async make(): Promise<void> {
    const { connection, replicas } = this.#options;
    const stream = {
      name: LOG_STREAM,
      subjects: ["log.>"],
      num_replicas: replicas,
      max_age: nanos(MAX_AGE_MS),
    };
    await makeSharedStream(connection.nc, stream, {}, async (jsm) => {
      const { limits, storage } = await jsm.getAccountInfo();
      const free = Math.max(limits.max_storage - storage, 0);
      return limits.max_storage < 0 ? -1 : Math.floor((free * STORAGE_SHARE) / replicas);
    });
    this.#gone = false;
  }

  /** See `Bus.record`. */
  async record(records: readonly LogRecord[]): Promise<void> {
    const { nc, connected } = this.#options.connection;
    if (!connected || nc.isDraining()) throw interrupted();
    if (this.#gone) await this.make();
    await new Promise<void>((resolve, reject) => {
      const number = ++this.#count;
      const timer = setTimeout(() => this.#fail(number, unanswered()), ACK_TIMEOUT_MS);
      const subjects = new Set(records.map(({ subject }) => subject));
      this.#flights.set(number, { subjects, resolve, reject, timer, unanswered: records.length });
      const reply = this.#inbox + number;
      for (const { subject, data } of records) nc.publish(subject, data, { reply });
    });
  }

  #answered(broken: Error | null, message: Msg): void {
    if (broken) return; // told by the connection
    const number = Number(message.subject.slice(this.#inbox.length));
    const flight = this.#flights.get(number);
    if (flight === undefined) return;
    if (message.headers?.code === 503) {
      this.#gone = true;
      this.#fail(number, unanswered());
      return;
    }
    const { error, stream } = message.json<PublishAnswer>();
    if (error !== undefined) {
      this.#fail(number, busError(new JetStreamApiError(error), "write the event log"));
    } else if (stream !== LOG_STREAM) {
      this.#fail(number, busError(new BugError("EVENT_LOG_ELSEWHERE", `${stream} took it`), "write the event log"));
    } else if (--flight.unanswered === 0) {
      this.#flights.delete(number);
      clearTimeout(flight.timer);
      flight.resolve();
    }
  }

  #fail(number: number, error: MillraceError): void {
    const flight = this.#flights.get(number);
    if (flight === undefined) return;
    this.#flights.delete(number);
    clearTimeout(flight.timer);
    flight.reject(error);
  }
}

interface PublishAnswer {
  readonly stream?: string;
  readonly error?: { readonly code: number; readonly err_code: number; readonly description: string };
}

function refused(subject: string): ConfigError {
  return new ConfigError("BUS_PERMISSION", `NATS does not let this user publish to ${subject}`, {
    hint: "let the worker's user publish to log.>; docs/operations/nats.md has all that it needs",
  });
}

function interrupted(): TransientError {
  return new TransientError("BUS_INTERRUPTED", "the connection to NATS broke before the event log was written", {
    hint: "nothing to do: it is written again",
  });
}

function unanswered(): TransientError {
  return new TransientError("BUS_UNREACHABLE", `${LOG_STREAM} did not acknowledge what was written to the event log`, {
    hint: "see that nats-server runs, has a JetStream leader and can be reached",
  });
}
