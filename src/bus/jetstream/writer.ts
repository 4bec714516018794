// The writer of one source's stream: one atomic batch in flight, fenced by number and token; the next one is filled and
// encoded meanwhile. Anything unexpected ends in `establish`, never in a guess.

import { type MillraceError, TransientError, toError } from "../../errors.ts";
import type { StreamMessage } from "../../event/message.ts";
import { comparePositions, isComplete, laterPosition, type Position } from "../../event/position.ts";
import { metaSubject } from "../../event/subject.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Mark, Writer } from "../bus.ts";
import { apiCodes } from "./api-codes.ts";
import type { CheckpointStore } from "./checkpoint-store.ts";
import { encodeBatch, idOf, type Outgoing } from "./encode.ts";
import { type Established, type EstablishOptions, establish, writerMarker } from "./establish.ts";
import { type Fsync, Horizon } from "./horizon.ts";
import { type Encoded, PublishRefused } from "./port.ts";
import { startUpkeep } from "./upkeep.ts";
import { WakeUp } from "./wake-up.ts";
import { WriterQueue } from "./writer-queue.ts";

/** Above this many bytes waiting, whoever writes waits too. */
const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
/** 10164 with one batch in flight is the server still clearing the last one. */
const MAX_RESENDS = 5;
const SAVE_AGAIN_MS = 250;
const FLUSH_POLL_MS = 20;
/** The first pause before recovering a second time in a row, and the longest one. */
const RECOVER_AGAIN_MS = 50;
const MAX_RECOVER_AGAIN_MS = 5000;

export interface WriterOptions extends Omit<EstablishOptions, "highest" | "created" | "reason" | "checkpoint"> {
  readonly checkpoints: CheckpointStore;
  readonly fsync: Fsync;
  readonly log: Logger;
  /** The marker is renewed between transactions when it is older than this. */
  readonly markerEveryMs: number;
  /** The bus away for longer than this: the source is closed until it is back. */
  readonly maxAwayMs: number;
  /** How often an idle stream is looked at for lost messages. */
  readonly idleCheckMs: number;
  /** Called with what a stored batch holds. */
  readonly onStored: (messages: readonly Pick<StreamMessage, "subject" | "position">[]) => void;
  readonly onRecovered: () => void;
}

interface Prepared {
  readonly messages: readonly Outgoing[];
  readonly encoded: readonly Encoded[];
  readonly lastSeq: number;
}

export class JetStreamWriter implements Writer {
  readonly resume: Position | undefined;
  readonly lease: number;
  readonly failed: Promise<never>;
  readonly #options: WriterOptions;
  readonly #queue = new WriterQueue();
  readonly #stored: Horizon<Mark>;
  readonly #saves: Horizon<number>;
  readonly #closed = new AbortController();
  readonly #work = new WakeUp();
  readonly #room = new WakeUp();
  readonly #durable = new WakeUp();
  readonly #saved = new WakeUp();
  readonly #done: Promise<void>;
  readonly #stopListening: () => void;
  readonly #onClosed: () => Promise<void>;
  #fail: (error: Error) => void = () => {};
  #failure: Error | undefined;
  /** Disruptions since a batch was last stored: the more, the longer the pause before the next try. */
  #disruptions = 0;
  #at: Established;
  /** The newest `Cdc-Pos` in the stream, and the newest place known to be complete. */
  #prev: Position | undefined;
  #complete: Position | undefined;
  #markedMs: number;
  /** When something was last stored, or began to wait. */
  #progressMs = 0;
  /** Set when something may have happened to what was sent or stored. */
  #disrupted: string | undefined;
  #mark: Mark | undefined;
  #saveCount = 0;
  #durableSaves = 0;

  /** @param onClosed called once the writer is done with its port */
  constructor(options: WriterOptions, established: Established, onClosed: () => Promise<void> = async () => {}) {
    this.#options = options;
    this.#onClosed = onClosed;
    this.#at = established;
    this.#prev = established.tail;
    this.#complete = established.resume && isComplete(established.resume) ? established.resume : undefined;
    this.resume = established.resume;
    this.lease = options.lease.number;
    this.#stored = new Horizon(options.fsync, options.clock);
    this.#saves = new Horizon(options.fsync, options.clock);
    this.#markedMs = options.clock.now();
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => {}); // whoever cares races against it; nobody may be there yet
    if (this.#complete !== undefined) this.#hold(this.#complete); // never the tail: a saved heartbeat may be ahead of it
    this.#stopListening = options.port.onDisruption(() => this.disrupt("the connection to the bus was interrupted"));
    startUpkeep({
      ...options,
      signal: this.#closed.signal,
      horizons: [this.#stored, this.#saves],
      lastSeq: () => this.#at.lastSeq,
      isIdle: () => !this.#queue.waiting,
      onTick: () => this.#tick(),
      onDisrupted: (reason) => this.disrupt(reason),
      onFailed: (error) => this.#stop(error),
    });
    this.#done = this.#run();
  }

  async write(
    items: readonly (StreamMessage | { readonly type: "commit"; readonly position: Position })[],
  ): Promise<void> {
    if (!this.#queue.waiting) this.#progressMs = this.#options.clock.now();
    for (const item of items) this.#queue.push(item);
    this.#work.set();
    while (this.#queue.bytes > MAX_QUEUED_BYTES) await this.#until(this.#room);
  }

  async nextMark(): Promise<Mark> {
    while (this.#mark === undefined) await this.#until(this.#durable);
    const mark = this.#mark;
    this.#mark = undefined;
    return mark;
  }

  async save(mark: Mark): Promise<void> {
    const { position, streamSeq, id } = mark;
    const checkpoint = { position, streamSeq, id, streamCreated: this.#at.created, lease: this.lease };
    for (;;) {
      try {
        await this.#options.checkpoints.save(checkpoint);
        break;
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        await this.#options.clock.sleep(SAVE_AGAIN_MS, this.#closed.signal);
        if (this.#failure) throw this.#failure;
      }
    }
    this.#saveCount++;
    this.#saves.add(this.#saveCount);
    this.#tick();
  }

  async saveDurable(): Promise<void> {
    const wanted = this.#saveCount;
    while (this.#durableSaves < wanted) await this.#until(this.#saved);
  }

  stalledMs(): number {
    return this.#queue.waiting ? this.#options.clock.now() - this.#progressMs : 0;
  }

  heldForFsync(): { readonly marks: number; readonly oldestMs: number } {
    return this.#stored.waiting;
  }

  /** What was sent may be lost, or what was stored: find out before anything else is sent. */
  disrupt(reason: string): void {
    this.#disrupted ??= reason;
    this.#work.set();
  }

  /** Waits until all whole transactions that were queued are stored, at most `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    const { clock } = this.#options;
    const until = clock.now() + timeoutMs;
    while (this.#queue.next() && this.#failure === undefined && clock.now() < until) await clock.sleep(FLUSH_POLL_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop(new TransientError("WRITER_CLOSED", "the writer was closed", { hint: "nothing to do" }));
    await this.#done;
    await this.#onClosed();
    await this.#options.lease.release().catch(() => {}); // else it runs out by itself
  }

  /** Waits for a wake-up, or for the writer's end. (A race with `failed` would leave something behind at each turn.) */
  async #until(wakeUp: WakeUp): Promise<void> {
    if (this.#failure === undefined) await wakeUp.wait();
    if (this.#failure) throw this.#failure;
  }

  #stop(error: Error): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#closed.abort();
    this.#stopListening();
    this.#fail(error);
    for (const wakeUp of [this.#work, this.#room, this.#durable, this.#saved]) wakeUp.set();
  }

  async #run(): Promise<void> {
    let prepared: Prepared | undefined;
    while (!this.#closed.signal.aborted) {
      try {
        if (this.#disrupted !== undefined) {
          prepared = undefined;
          await this.#recover(this.#disrupted);
          continue;
        }
        this.#takeCommits();
        const batch = prepared ?? this.#prepare(this.#at.lastSeq, this.#prev, 0);
        prepared = undefined;
        if (batch === undefined) await this.#work.wait();
        else prepared = await this.#send(batch);
      } catch (error) {
        prepared = undefined;
        if (error instanceof TransientError || error instanceof PublishRefused) this.disrupt(error.message);
        else this.#stop(toError(error));
      }
    }
  }

  /** The next batch, encoded; a renewed marker goes before it when one is due and the stream stands between transactions. */
  #prepare(lastSeq: number, prev: Position | undefined, skip: number): Prepared | undefined {
    const messages = skip === 0 && this.#markerDue() ? [this.#renewedMarker()] : this.#queue.next(skip);
    if (messages === undefined || messages.length === 0) return undefined;
    const { source, instance } = this.#options;
    const fence = { lastSeq, token: this.#at.token, tokenSubject: metaSubject(source, "writer") };
    return { messages, lastSeq, encoded: encodeBatch(messages, instance, fence, prev) };
  }

  /** Sends a batch, waits for its acknowledgement, and prepares the next one meanwhile when that is a full one. */
  async #send(batch: Prepared): Promise<Prepared | undefined> {
    if (this.#options.lease.unconfirmedMs > this.#options.lease.ttlMs)
      throw new TransientError("LEASE_UNCONFIRMED", "the process was paused", {
        hint: "nothing to do: the lease is renewed first",
      });
    const sending = this.#sendSurely(batch.encoded);
    const { messages } = batch;
    const renewal = messages[0]?.subject === metaSubject(this.#options.source, "writer");
    const last = messages.at(-1) as Outgoing;
    const lastSeq = batch.lastSeq + messages.length;
    let next: Prepared | undefined;
    if (!renewal && this.#queue.hasFullBatch(messages.length))
      next = this.#prepare(lastSeq, last.position, messages.length);
    const ack = await sending;
    if (ack.seq !== lastSeq || ack.count !== messages.length) {
      throw new TransientError(
        "BUS_ACK_UNEXPECTED",
        `stored ${ack.count} up to ${ack.seq}, expected ${messages.length} up to ${lastSeq}`,
        {
          hint: "the stream must have allow_atomic on and no other writer",
        },
      );
    }
    if (renewal) this.#markedMs = this.#options.clock.now();
    else this.#queue.drop(messages.length);
    this.#at = { ...this.#at, lastSeq, lastId: idOf(last.head), token: renewal ? ack.seq : this.#at.token };
    this.#advance(messages);
    return next;
  }

  async #sendSurely(encoded: readonly Encoded[]): Promise<{ readonly seq: number; readonly count: number }> {
    for (let resends = 0; ; resends++) {
      try {
        return await this.#options.port.send(encoded);
      } catch (error) {
        const clearing = error instanceof PublishRefused && error.apiCode === apiCodes.wrongLastSequenceUnknown;
        if (!clearing || resends >= MAX_RESENDS) throw error;
        await this.#options.clock.sleep(2 + 2 * resends);
      }
    }
  }

  /** A batch is in the stream: what its last complete message stands for may become a checkpoint. */
  #advance(messages: readonly Outgoing[]): void {
    this.#disruptions = 0;
    this.#progressMs = this.#options.clock.now();
    const positioned = messages.filter((message): message is StreamMessage => message.position !== undefined);
    this.#prev = positioned.at(-1)?.position ?? this.#prev;
    const complete = positioned.findLast((message) => isComplete(message.position));
    if (complete) this.#hold(complete.position);
    this.#options.onStored(positioned);
    this.#room.set();
    this.#takeCommits();
  }

  /** Commits with all before them stored stand behind the stream's last message. */
  #takeCommits(): void {
    const commit = this.#queue.takeCommit();
    if (commit !== undefined) this.#hold(commit);
  }

  #hold(position: Position): void {
    this.#complete = laterPosition(this.#complete, position);
    if (this.#complete !== position) return; // a checkpoint never goes back
    const inStream = this.#prev !== undefined && comparePositions(position, this.#prev) <= 0;
    this.#stored.add({ position, streamSeq: this.#at.lastSeq, id: this.#at.lastId, inStream });
    this.#tick();
  }

  /** Time has passed: something may have become durable, or a marker may be due. */
  #tick(): void {
    const mark = this.#stored.take();
    if (mark !== undefined) {
      this.#mark = mark;
      this.#durable.set();
    }
    const save = this.#saves.take();
    if (save !== undefined) {
      this.#durableSaves = save;
      this.#saved.set();
    }
    if (this.#markerDue()) this.#work.set();
  }

  #markerDue(): boolean {
    if (this.#prev !== undefined && !isComplete(this.#prev)) return false;
    return this.#options.clock.now() - this.#markedMs > this.#options.markerEveryMs;
  }

  #renewedMarker(): Outgoing {
    const id = `${this.#options.source}.writer.${this.lease}.${this.#at.lastSeq + 1}`;
    return writerMarker({ ...this.#options, reason: "renewed" }, laterPosition(this.#prev, this.#complete), id);
  }

  /** Finds out where the stream ends now, and goes on from there with what still waits, or gives up what cannot. */
  async #recover(reason: string): Promise<void> {
    const { clock, maxAwayMs, checkpoints, log, source } = this.#options;
    const sinceMs = clock.now();
    const { lastSeq: highest, created } = this.#at;
    for (; ; this.#disruptions++) {
      const delayMs = Math.min(RECOVER_AGAIN_MS * 2 ** (this.#disruptions - 1), MAX_RECOVER_AGAIN_MS);
      if (this.#disruptions > 0) await clock.sleep(delayMs, this.#closed.signal);
      if (this.#closed.signal.aborted) return;
      this.#disrupted = undefined;
      this.#stored.clear(); // until the stream and the save are seen to be there, nothing of them becomes durable
      this.#saves.clear();
      try {
        const checkpoint = await checkpoints.load();
        const found = await establish({ ...this.#options, highest, created, checkpoint, reason });
        if (this.#disrupted !== undefined) continue;
        this.#disruptions++;
        this.#goOn(found, reason);
        return;
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        const awayMs = clock.now() - sinceMs;
        if (awayMs > maxAwayMs) {
          this.#stop(busAway(awayMs, error));
          return;
        }
        log.debug("bus_disconnected", { source, code: error.code });
      }
    }
  }

  #goOn(found: Established, reason: string): void {
    const { log, source } = this.#options;
    const before = this.#prev;
    this.#at = found;
    this.#prev = found.tail;
    this.#markedMs = this.#options.clock.now();
    this.#options.onRecovered();
    if (found.lost !== undefined || (before && (!found.tail || comparePositions(found.tail, before) < 0))) {
      log.error("bus_messages_lost", { source, ...found.lost });
      this.#stop(
        new TransientError("BUS_LOST_MESSAGES", `the bus lost messages it had acknowledged, of ${source}`, {
          hint: "the source is read again from the surviving tail",
        }),
      );
      return;
    }
    const stored = found.tail === undefined ? 0 : this.#queue.dropThrough(found.tail);
    const complete = found.tail && isComplete(found.tail) ? laterPosition(found.tail, this.#complete) : this.#complete;
    if (complete !== undefined) this.#hold(complete);
    this.#room.set();
    this.#takeCommits();
    log.info("bus_recovered", { source, reason, alreadyStored: stored, token: found.token });
  }
}

function busAway(awayMs: number, cause: MillraceError): Error {
  return new TransientError("BUS_AWAY", `the bus has been away for ${Math.round(awayMs / 1000)} s`, {
    hint: "the source is closed until the bus is back; see that nats-server runs and can be reached",
    cause,
  });
}
