// The stream `MILLRACE_LOG`: what became of each event in each automation, kept for a while.
//
// Behind each break of the connection the bus may lack what it had acknowledged: a server that was killed loses the end of a
// stream, one that is set back all behind a point. Either takes the newest first. So one look at what was acknowledged last
// tells of all: while that record stands where it stood, all before it does. The look comes before anything else is recorded,
// so that no newer record can stand for an older one that is lost.
//
// Of a record with an id the server may say that it has another one of it, which whoever was killed before told. It is believed
// where that one is seen to stand: else this one is stored without the id.

import { JetStreamApiError, type JetStreamManager, type MsgRequest, type StoredMsg } from "@nats-io/jetstream";
import { createInbox, headers, type Msg, type MsgHdrs, nanos } from "@nats-io/transport-node";
import { BugError, ConfigError, type MillraceError, TransientError } from "../../../errors.ts";
import type { LogRecord } from "../../bus.ts";
import { apiCodes } from "./api-codes.ts";
import { asked, busError, orNothing } from "./bus-errors.ts";
import type { Connection } from "./connection.ts";
import { makeSharedStream } from "./shared-stream.ts";
import { MSG_ID, StoredSince } from "./stored-since.ts";

export const LOG_STREAM = "MILLRACE_LOG";
/** As long as the events that it is about, where nobody says otherwise. */
const MAX_AGE_MS = 7 * 24 * 60 * 60_000;
/** The part of the account's free storage that it may fill: it must not take from the events that it is about. */
const STORAGE_SHARE = 0.1;
const ACK_TIMEOUT_MS = 5000;

export interface EventLogOptions {
  readonly connection: Connection;
  readonly jsm: JetStreamManager;
  readonly replicas: number;
}

/** Records that are under way together. */
interface Flight {
  readonly records: readonly LogRecord[];
  readonly resolve: (duplicates: readonly Standing[]) => void;
  readonly reject: (error: MillraceError) => void;
  readonly timer: NodeJS.Timeout;
  unanswered: number;
  /** The newest of it that was stored. */
  newest?: Standing;
  /** For which the server says that another one of the same id stands there. */
  readonly duplicates: Standing[];
}

interface Standing {
  readonly sequence: number;
  readonly record: LogRecord;
}

/** Publishes on an inbox of its own: the client's `publish` of JetStream costs several times the work. */
export class EventLog {
  readonly #options: EventLogOptions;
  readonly #earlier: StoredSince;
  readonly #inbox: string = `${createInbox()}.`;
  readonly #flights = new Map<number, Flight>();
  #count = 0;
  /** Nobody listens for its subjects: the stream was deleted, or has no leader for now. */
  #gone = false;
  /** After how many of these it was looked into last. */
  #breaks = 0;
  #lookedAfter = 0;
  #looking: Promise<void> | undefined;
  #losses = 0;
  /** What was acknowledged last, and where it stands. */
  #newest: Standing | undefined;
  /** What was sent over a connection that broke before the answer. */
  readonly #unsure = new WeakSet<LogRecord>();

  constructor(options: EventLogOptions) {
    const { connection, jsm } = options;
    this.#options = options;
    this.#earlier = new StoredSince(jsm, LOG_STREAM);
    connection.nc.subscribe(`${this.#inbox}>`, { callback: (error, message) => this.#answered(error, message) });
    // What was under way may be lost, and what was not may have been answered: whoever waits sends it again.
    connection.onDisruption(() => {
      this.#breaks++;
      for (const [number, { records }] of this.#flights) {
        for (const record of records) this.#unsure.add(record);
        this.#fail(number, interrupted());
      }
    });
    connection.onPublishRefused((subject) => {
      for (const [number, { records }] of this.#flights)
        if (records.some((record) => record.subject === subject)) this.#fail(number, refused(subject));
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
  async record(records: readonly LogRecord[]): Promise<number> {
    this.#throwIfAway();
    if (this.#gone) {
      await this.make();
      this.#lookedAfter = -1; // what stood there is gone with the stream
    }
    if (this.#lookedAfter !== this.#breaks) await this.losses();
    const sent = records.some((record) => this.#unsure.has(record)) ? await this.#notStanding(records) : records;
    const losses = this.#losses;
    for (let left = await this.#notToldBefore(sent); ; left = await this.#withoutAnother(await this.#send(left))) {
      // Nothing may go out over a connection behind whose break nobody has looked.
      if (this.#lookedAfter !== this.#breaks) throw interrupted();
      this.#throwIfAway();
      if (left.length === 0) return losses;
    }
  }

  /** See `Bus.logLosses`. */
  async losses(): Promise<number> {
    while (this.#lookedAfter !== this.#breaks) {
      this.#throwIfAway();
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
      await this.#looking;
    }
    return this.#losses;
  }

  /** Resolves to those that were not stored, because another one has their id. */
  #send(records: readonly LogRecord[]): Promise<readonly Standing[]> {
    const { nc } = this.#options.connection;
    return new Promise((resolve, reject) => {
      const number = ++this.#count;
      const timer = setTimeout(() => this.#fail(number, unanswered()), ACK_TIMEOUT_MS);
      this.#flights.set(number, { records, resolve, reject, timer, unanswered: records.length, duplicates: [] });
      for (const [nth, { subject, data, id }] of records.entries()) {
        const reply = `${this.#inbox}${number}.${nth}`;
        nc.publish(subject, data, id === undefined ? { reply } : { reply, headers: withId(id) });
      }
    });
  }

  /** Without those of which another one is found that was told before a crash. */
  async #notToldBefore(records: readonly LogRecord[]): Promise<readonly LogRecord[]> {
    if (records.every(({ since }) => since === undefined)) return records;
    const found = await asked(`look into ${LOG_STREAM}`, () =>
      Promise.all(
        records.map(({ subject, id, since }) =>
          id === undefined || since === undefined ? undefined : this.#earlier.find({ subject, id, since }),
        ),
      ),
    );
    for (const one of found) if (one !== undefined) this.#believe(one);
    return records.filter((_, nth) => found[nth] === undefined);
  }

  /** What another worker told stands for one of ours: a loss that takes it is one of ours too. */
  #believe({ seq: sequence, subject, data }: StoredMsg): void {
    this.#remember({ sequence, record: { subject, data } });
  }

  /** A flight may have its last answer, of a duplicate, behind that of a newer one. */
  #remember(standing: Standing): void {
    if (standing.sequence > (this.#newest?.sequence ?? 0)) this.#newest = standing;
  }

  /** Those of which no other one is seen to stand, to be stored without their id. */
  async #withoutAnother(duplicates: readonly Standing[]): Promise<readonly LogRecord[]> {
    const left: LogRecord[] = [];
    for (const { sequence, record } of duplicates) {
      const { id, subject } = record;
      const found = await this.#read({ seq: sequence });
      if (found === undefined || found.subject !== subject || found.header.get(MSG_ID) !== id)
        left.push({ subject, data: record.data });
      else this.#believe(found);
    }
    return left;
  }

  /** Whether all that was acknowledged stands, by the newest of it. */
  async #look(): Promise<void> {
    const breaks = this.#breaks;
    const newest = this.#newest;
    if (newest !== undefined && !(await this.#stands(newest.record, { seq: newest.sequence }))) {
      this.#losses++;
      if (this.#newest === newest) this.#newest = undefined;
    }
    this.#lookedAfter = breaks;
  }

  /** Without those that reached the bus before the break: seen as the newest of their subject, or sent once more. */
  async #notStanding(records: readonly LogRecord[]): Promise<readonly LogRecord[]> {
    const unsure = records.filter((record) => this.#unsure.has(record));
    // Asked once for each subject: a request for each record would keep all of them from the log for seconds.
    const subjects = [...new Set(unsure.map(({ subject }) => subject))];
    const newest = await Promise.all(subjects.map((subject) => this.#read({ last_by_subj: subject })));
    return records.filter(
      (record) => !(this.#unsure.has(record) && newest.some((found) => found !== undefined && isOf(found, record))),
    );
  }

  /** Told by the stream's leader. */
  async #stands(record: LogRecord, where: MsgRequest): Promise<boolean> {
    const found = await this.#read(where);
    return found !== undefined && isOf(found, record);
  }

  async #read(where: MsgRequest): Promise<StoredMsg | undefined> {
    const { jsm } = this.#options;
    const ask = () =>
      orNothing(jsm.streams.getMessage(LOG_STREAM, where), apiCodes.noMessageFound, apiCodes.streamNotFound);
    return (await asked(`look into ${LOG_STREAM}`, ask)) ?? undefined;
  }

  #throwIfAway(): void {
    const { nc, connected } = this.#options.connection;
    if (!connected || nc.isDraining()) throw interrupted();
  }

  #answered(broken: Error | null, message: Msg): void {
    if (broken) return; // told by the connection
    const [number = 0, nth = 0] = message.subject.slice(this.#inbox.length).split(".").map(Number);
    const flight = this.#flights.get(number);
    if (flight === undefined) return;
    if (message.headers?.code === 503) {
      this.#gone = true;
      this.#fail(number, unanswered());
      return;
    }
    const { error, stream, seq = 0, duplicate = false } = message.json<PublishAnswer>();
    if (error !== undefined) {
      this.#fail(number, busError(new JetStreamApiError(error), "write the event log"));
    } else if (stream !== LOG_STREAM) {
      this.#fail(number, busError(new BugError("EVENT_LOG_ELSEWHERE", `${stream} took it`), "write the event log"));
    } else {
      const record = flight.records[nth];
      if (record !== undefined && duplicate) flight.duplicates.push({ sequence: seq, record });
      else if (record !== undefined) flight.newest = { sequence: seq, record };
      if (--flight.unanswered > 0) return;
      if (flight.newest !== undefined) this.#remember(flight.newest);
      this.#flights.delete(number);
      clearTimeout(flight.timer);
      flight.resolve(flight.duplicates);
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
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly code: number; readonly err_code: number; readonly description: string };
}

/** Two records are never equal: each says which worker wrote it, when, and of what. */
function isOf(found: StoredMsg, { subject, data }: LogRecord): boolean {
  return found.subject === subject && Buffer.compare(found.data, data) === 0;
}

function withId(id: string): MsgHdrs {
  const lines = headers();
  lines.set(MSG_ID, id);
  return lines;
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
