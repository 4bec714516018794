// Walks a source's stream from one sequence to another and tells what is wrong with it. Reads only headers, through a
// consumer of its own that leaves nothing behind; the bodies of the few markers that explain something are asked for.

import {
  type Consumer,
  DeliverPolicy,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  type StreamInfo,
} from "@nats-io/jetstream";
import { ConfigError } from "../../../errors.ts";
import { type PlainPositions, positionsFrom } from "../../../event/positions.ts";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import { LargeBodies } from "../bodies/large-bodies.ts";
import type { BusAccess } from "../client/access.ts";
import { busError } from "../client/bus-errors.ts";
import { Connection } from "../client/connection.ts";
import { findStream } from "../client/streams.ts";
import { pointsTo } from "../recovery/missing-bodies.ts";
import { type Erased, readErased } from "../stream/erased.ts";
import { bodyOf } from "../stream/own-markers.ts";
import { type AuditCounts, type AuditMessage, StreamAudit } from "./audit.ts";
import { type AuditFinding, type AuditFindingCode, auditFinding } from "./audit-finding.ts";
import { type HeldKeys, KeyLedger, type TableReport } from "./key-ledger.ts";

/** More findings, and more notes, are only counted. */
const MAX_KEPT = 100;
const NO_BODY = new Uint8Array();

export interface VerifyOptions extends BusAccess {
  readonly source: SourceId;
  /** First and last sequence; default: all that the stream holds when it begins. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** What the tables hold, to compare with; then all of the stream is walked. */
  readonly held?: HeldKeys | undefined;
  /** Called for every message with how far it is. */
  readonly onProgress: (progress: { readonly done: number; readonly total: number }) => void;
  readonly log: Logger;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** A marker, or an erasure on record, that says something happened to the source or the stream, though nothing is wrong with it. */
export interface Note {
  readonly kind: "history" | "gap" | "poison" | "lost" | "erased";
  readonly sequence: number;
  /** The marker's body; of a run of `lost` markers its numbers; of an erasure its subject and time. */
  readonly about: Readonly<Record<string, unknown>>;
}

export interface VerifyReport extends AuditCounts {
  readonly source: SourceId;
  readonly stream: string;
  /** What was walked; `to` is lower than `from` when there was nothing. */
  readonly from: number;
  readonly to: number;
  /** Where the tables were compared. */
  readonly tables?: readonly TableReport[];
  /** `meta.` messages by their kind. */
  readonly markers: Readonly<Record<string, number>>;
  /** The first hundred of them. */
  readonly notes: readonly Note[];
  /** All findings by code; `findings` holds the first hundred. */
  readonly wrong: Readonly<Partial<Record<AuditFindingCode, number>>>;
  readonly findings: readonly AuditFinding[];
  readonly ok: boolean;
}

/**
 * @throws ConfigError VERIFY_NO_STREAM, VERIFY_RANGE, and what a bus that cannot serve throws; TransientError; what the
 * signal says once it aborts
 */
export async function verifyStream(options: VerifyOptions): Promise<VerifyReport> {
  const { source, signal } = options;
  const connection = await Connection.open(options);
  try {
    return await new Walk(connection, await jetstreamManager(connection.nc, { checkAPI: false }), options).run();
  } catch (thrown) {
    signal.throwIfAborted();
    throw busError(thrown, `read the stream ${streamName(source)}`);
  } finally {
    await connection[Symbol.asyncDispose]();
  }
}

class Walk {
  readonly #connection: Connection;
  readonly #jsm: JetStreamManager;
  readonly #options: VerifyOptions;
  readonly #audit: StreamAudit;
  readonly #bodies: LargeBodies;
  readonly #ledger: KeyLedger | undefined;
  readonly #markers: Record<string, number> = {};
  readonly #notes: Note[] = [];
  readonly #wrong: Partial<Record<AuditFindingCode, number>> = {};
  readonly #findings: AuditFinding[] = [];
  #lost: { from: number; to: number } | undefined;
  #erasures: ReadonlyMap<number, Erased> | undefined;

  constructor(connection: Connection, jsm: JetStreamManager, options: VerifyOptions) {
    this.#connection = connection;
    this.#jsm = jsm;
    this.#options = options;
    this.#bodies = new LargeBodies({ nc: connection.nc, jsm, replicas: 1 });
    this.#audit = new StreamAudit(options.source, (finding) => this.#found(finding));
    this.#ledger = options.held && new KeyLedger(options.held);
  }

  async run(): Promise<VerifyReport> {
    const { source } = this.#options;
    const { state } = await this.#info();
    const from = Math.max(this.#options.from ?? 1, state.first_seq, 1);
    const to = Math.min(this.#options.to ?? state.last_seq, state.last_seq);
    const asked = this.#options.from !== undefined || this.#options.to !== undefined;
    if (asked && from > to) {
      throw new ConfigError("VERIFY_RANGE", `the stream holds ${state.first_seq} to ${state.last_seq}`, {
        hint: "Give --from and --to inside of that, or neither.",
      });
    }
    if (from <= to) await this.#walk(from, to);
    const tables: TableReport[] = [];
    for await (const table of this.#ledger?.compare((finding) => this.#found(finding)) ?? []) tables.push(table);
    return {
      source,
      stream: streamName(source),
      from,
      to,
      ...this.#audit.counts,
      ...(this.#ledger ? { tables } : {}),
      markers: this.#markers,
      notes: this.#notes,
      wrong: this.#wrong,
      findings: this.#findings,
      ok: Object.keys(this.#wrong).length === 0,
    };
  }

  async #walk(from: number, to: number): Promise<void> {
    const { source, signal, onProgress } = this.#options;
    const audit = this.#audit;
    audit.begin(from);
    // A batch that was being stored when the walk began is read to its end.
    const isWhole = (): boolean => this.#options.to !== undefined || !audit.insideBatch;
    let end = to;
    for await (const message of streamHeaders(this.#connection, { stream: streamName(source), from, signal })) {
      const { sequence } = message;
      if (sequence > end) {
        if (isWhole()) break;
        end = sequence;
      }
      await this.#see(message);
      this.#ledger?.see(message);
      onProgress({ done: Math.min(sequence, to) - from + 1, total: to - from + 1 });
      if (sequence >= end && isWhole()) break;
    }
    signal.throwIfAborted();
    const missing = audit.missingBefore(end + 1);
    if (missing) await this.#hole(missing);
    if (this.#options.to === undefined) audit.end();
    this.#closeLost();
  }

  async #see(message: AuditMessage): Promise<void> {
    const { sequence, subject } = message;
    const missing = this.#audit.missingBefore(sequence);
    if (missing) await this.#hole(missing);
    const [kind, , marker = ""] = subject.split(".");
    const tells = kind === "meta" && (marker === "history" || marker === "gap" || marker === "poison");
    const isCopy = kind === "meta" && marker === "backfill" && this.#ledger !== undefined;
    const about = tells || isCopy || (kind === "meta" && marker === "shard") ? await this.#body(sequence) : {};
    if (isCopy) this.#ledger?.copy(sequence, about);
    // Before it is looked at: it stands where the source was gone back to itself.
    if (marker === "gap" && tells) this.#ledger?.gap(sequence, about);
    if (tells && marker !== "poison") {
      const { lost, resume = null } = about;
      const from = resume === null ? null : positionsFrom(resume as PlainPositions);
      this.#audit.turn(lost === undefined ? undefined : from);
    }
    this.#audit.see(message, about);
    await this.#checkBody(message);
    if (kind !== "meta") {
      if (this.#lost) this.#closeLost();
      return;
    }
    this.#markers[marker] = (this.#markers[marker] ?? 0) + 1;
    if (marker === "lost") {
      this.#lost ??= { from: sequence, to: sequence };
      this.#lost.to = sequence;
      return;
    }
    this.#closeLost();
    if (tells) this.#note({ kind: marker, sequence, about });
  }

  async #checkBody({ sequence, header }: AuditMessage): Promise<void> {
    const place = header("ce-dataref");
    if (place === undefined) return;
    const ref = pointsTo({ data: NO_BODY, header });
    if (ref === undefined || !(await this.#bodies.has(ref)))
      this.#found(auditFinding("BODY_MISSING", sequence, `${place} is not there`));
  }

  #found(finding: AuditFinding): void {
    this.#wrong[finding.code] = (this.#wrong[finding.code] ?? 0) + 1;
    if (this.#findings.length < MAX_KEPT) this.#findings.push(finding);
  }

  #closeLost(): void {
    if (this.#lost) this.#note({ kind: "lost", sequence: this.#lost.from, about: this.#lost });
    this.#lost = undefined;
  }

  #note(note: Note): void {
    if (this.#notes.length < MAX_KEPT) this.#notes.push(note);
  }

  /** What retention has removed meanwhile is no hole. */
  async #hole({ from, to }: { readonly from: number; readonly to: number }): Promise<void> {
    const { state } = await this.#info();
    let allErased = to >= state.first_seq;
    for (let seq = Math.max(from, state.first_seq); seq <= to; ) {
      let next = seq + 1;
      const erased = await this.#erased(seq);
      if (erased !== undefined) {
        this.#note({ kind: "erased", sequence: seq, about: { ...erased } });
      } else {
        while (next <= to && (await this.#erased(next)) === undefined) next++;
        this.#audit.hole({ from: seq, to: next - 1 });
        allErased = false;
      }
      seq = next;
    }
    if (allErased) this.#audit.passOver();
  }

  /** What is on record of a number that somebody erased on purpose. */
  async #erased(sequence: number): Promise<Erased | undefined> {
    this.#erasures ??= await readErased(this.#jsm, this.#options.source);
    return this.#erasures.get(sequence);
  }

  async #info(): Promise<StreamInfo> {
    const { source } = this.#options;
    const info = await findStream(this.#jsm, source);
    if (info !== undefined) return info;
    throw new ConfigError("VERIFY_NO_STREAM", `there is no stream ${streamName(source)}`, {
      hint: "See that the source is spelled as in the configuration; its stream is made when it is first run.",
    });
  }

  async #body(sequence: number): Promise<Readonly<Record<string, unknown>>> {
    const stored = await this.#jsm.streams.getMessage(streamName(this.#options.source), { seq: sequence });
    return (stored && bodyOf(stored)) ?? {}; // not one of ours, which the audit tells
  }
}

/** Asked for at once; without their bodies they are small. */
const MAX_AHEAD = 5000;

/**
 * The messages from a sequence on. It ends with what is stored when it gets there, or by the signal; after a lost
 * connection it goes on where it was.
 * @throws what the NATS client throws
 */
async function* streamHeaders(
  connection: Connection,
  options: { readonly stream: string; readonly from: number; readonly signal: AbortSignal },
): AsyncGenerator<AuditMessage> {
  const consumer = await jetstream(connection.nc).consumers.get(options.stream, {
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: options.from,
    headers_only: true,
  });
  const messages = await consumer.consume({ max_messages: MAX_AHEAD, abort_on_missing_resource: true });
  const stop = (): void => messages.stop();
  options.signal.addEventListener("abort", stop);
  if (options.signal.aborted) stop();
  try {
    if (!(await hasMore(consumer, 0))) return;
    for await (const { seq: sequence, subject, headers, info } of messages) {
      yield { sequence, subject, header: (name) => headers?.get(name) || undefined };
      if (info.pending === 0 && !(await hasMore(consumer, sequence))) return;
    }
  } finally {
    options.signal.removeEventListener("abort", stop);
    stop();
    if (connection.connected) await consumer.delete().catch(() => {}); // else the server forgets it by itself
  }
}

/** Whether something behind this sequence waits, or is on its way to us. The last numbers of a stream may be removed. */
async function hasMore(consumer: Consumer, sequence: number): Promise<boolean> {
  const { num_pending: waiting, delivered } = await consumer.info();
  return waiting > 0 || delivered.stream_seq > sequence;
}
