// The writer of one source's stream: one atomic batch in flight, fenced by number and token; the next one is filled and
// encoded meanwhile. Anything unexpected ends in `establish`, never in a guess.

import { TransientError, toError } from "../../errors.ts";
import type { StreamMessage } from "../../event/message.ts";
import { comparePositions, isComplete, laterPosition, type Position } from "../../event/position.ts";
import { streamName } from "../../event/source-id.ts";
import { metaSubject } from "../../event/subject.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Mark, Writer } from "../bus.ts";
import type { CheckpointStore } from "./checkpoint-store.ts";
import { encodeBatch, headerOf, idOf, largeBehind, type Outgoing } from "./encode.ts";
import type { Established, EstablishOptions } from "./establish.ts";
import type { Fsync } from "./horizon.ts";
import { Life } from "./life.ts";
import { Marks } from "./marks.ts";
import { pointsTo } from "./missing-bodies.ts";
import { type Encoded, PublishRefused } from "./port.ts";
import { Disruptions, recover } from "./recover.ts";
import { sendSurely } from "./send-surely.ts";
import { MAX_ONE_BY_ONE, SendTimes } from "./send-times.ts";
import { refusal, Stall } from "./stall.ts";
import { writerMarker } from "./start-markers.ts";
import { startUpkeep } from "./upkeep.ts";
import type { WakeUp } from "./wake-up.ts";
import { MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, WriterQueue } from "./writer-queue.ts";

/** Above this much waiting, whoever writes waits too. More than the largest batch, or that one never became full. */
const MAX_QUEUED_BYTES = MAX_BATCH_BYTES + 2 * 1024 * 1024;
const MAX_QUEUED_MESSAGES = 3 * MAX_BATCH_MESSAGES;
const SAVE_AGAIN_MS = 250;
const FLUSH_POLL_MS = 20;

export interface WriterOptions
  extends Omit<EstablishOptions, "highest" | "created" | "reason" | "checkpoint" | "signal"> {
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
  /** Once it is stored: see `Fence`. */
  readonly large: number;
}

export class JetStreamWriter implements Writer {
  readonly resume: Position | undefined;
  readonly lease: number;
  readonly #life = new Life();
  readonly #options: WriterOptions;
  readonly #queue = new WriterQueue();
  readonly #sendTimes = new SendTimes();
  readonly #marks: Marks;
  readonly #work: WakeUp = this.#life.wakeUp();
  readonly #room: WakeUp = this.#life.wakeUp();
  readonly #done: Promise<void>;
  readonly #stopListening: () => void;
  readonly #onClosed: () => Promise<void>;
  readonly #disruptions = new Disruptions();
  #at: Established;
  /** The newest `Cdc-Pos` in the stream. */
  #prev: Position | undefined;
  #markedMs: number;
  /** Until then what is written is in the stream already. */
  #storedThrough: Position | undefined;
  readonly #stall = new Stall();
  /** Of the newest transaction that was stored. */
  #committedHead: string | undefined;

  /** @param onClosed called once the writer is done with its port */
  constructor(options: WriterOptions, established: Established, onClosed: () => Promise<void> = async () => {}) {
    this.#options = options;
    this.#onClosed = onClosed;
    this.#at = established;
    this.#prev = established.tail;
    this.#storedThrough = established.storedThrough;
    this.resume = established.resume;
    this.lease = options.lease.number;
    this.#marks = new Marks(this.#life, options.fsync, options.clock);
    this.#markedMs = options.clock.now();
    // Never the tail: a saved heartbeat may be ahead of it. Nothing while bodies are missing: a mark is about all before it.
    if (established.resume && isComplete(established.resume) && established.storedThrough === undefined)
      this.#hold(established.resume);
    this.#stopListening = options.port.onDisruption(() => this.disrupt("the connection to the bus was interrupted"));
    startUpkeep({
      ...options,
      signal: this.#life.signal,
      horizons: this.#marks.horizons,
      lastSeq: () => this.#at.lastSeq,
      isIdle: () => !this.#queue.waiting,
      onTick: () => this.#tick(),
      onDisrupted: (reason) => this.disrupt(reason),
      onFailed: (error) => this.#stop(error),
    });
    this.#done = this.#run();
  }

  get failed(): Promise<never> {
    return this.#life.failed;
  }

  async write(
    items: readonly (StreamMessage | { readonly type: "commit"; readonly position: Position })[],
  ): Promise<void> {
    if (!this.#queue.waiting) this.#stall.begin(this.#options.clock.now());
    for (const item of items) if (this.#storedThrough === undefined || !this.#isStored(item)) this.#queue.push(item);
    this.#work.set();
    const full = (): boolean => this.#queue.bytes > MAX_QUEUED_BYTES || this.#queue.length > MAX_QUEUED_MESSAGES;
    while (full()) await this.#life.until(this.#room);
  }

  /** Read again only for the bodies of large events, which are there again now. */
  #isStored(item: StreamMessage | { readonly type: "commit"; readonly position: Position }): boolean {
    const through = this.#storedThrough;
    if (through === undefined) return false;
    const order = comparePositions(item.position, through);
    if (order < 0) return true;
    this.#storedThrough = undefined;
    if (order === 0 && isComplete(through)) this.#hold(through);
    return order === 0;
  }

  nextMark(): Promise<Mark> {
    return this.#marks.next();
  }

  async save(mark: Mark): Promise<void> {
    this.#life.throwIfOver(); // after a loss the mark may be of a stream that is no more
    const { position, streamSeq, id, streamCreated } = mark;
    const checkpoint = { position, streamSeq, id, streamCreated, lease: this.lease };
    for (;;) {
      const { clears } = this.#marks;
      try {
        await this.#options.checkpoints.save(checkpoint);
        if (this.#marks.clears === clears) break;
        this.#life.throwIfOver(); // its answer may be older than the loss
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        await this.#options.clock.sleep(SAVE_AGAIN_MS, this.#life.signal);
        this.#life.throwIfOver();
      }
    }
    this.#marks.saved();
  }

  saveDurable(): Promise<void> {
    return this.#marks.saveDurable();
  }

  stalledMs(): number {
    return this.#stall.ms(this.#options.clock.now(), this.#queue.waiting);
  }

  committedAt(): string | undefined {
    return this.#committedHead && /^ce-time: (.*)\r$/m.exec(this.#committedHead)?.[1];
  }

  stalledBy(): { readonly code: string; readonly message: string } | undefined {
    return this.stalledMs() > 0 ? this.#disruptions.trouble : undefined;
  }

  heldForFsync(): { readonly marks: number; readonly oldestMs: number } {
    return this.#marks.waiting;
  }

  /** What was sent may be lost, or what was stored: find out before anything else is sent. */
  disrupt(reason: string, code?: string): void {
    this.#marks.clear(); // at once: what waits may be lost, and time goes on
    this.#disruptions.note(reason, code);
    this.#work.set();
  }

  /** Waits until all whole transactions that were queued are stored, at most `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    const { clock } = this.#options;
    const until = clock.now() + timeoutMs;
    while (this.#queue.next() && !this.#life.over && clock.now() < until) await clock.sleep(FLUSH_POLL_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop(new TransientError("WRITER_CLOSED", "the writer was closed", { hint: "nothing to do" }));
    await this.#done;
    await this.#onClosed();
    await this.#options.lease.release().catch(() => {}); // else it runs out by itself
  }

  #stop(error: Error): void {
    this.#stopListening();
    this.#life.end(error);
  }

  async #run(): Promise<void> {
    let prepared: Prepared | undefined;
    while (!this.#life.over) {
      try {
        const { reason } = this.#disruptions;
        if (reason !== undefined) {
          prepared = undefined;
          await this.#recover(reason);
          continue;
        }
        this.#takeCommits();
        const batch = prepared ?? this.#prepare(this.#at.lastSeq, this.#prev, 0, this.#at.large);
        prepared = undefined;
        if (batch === undefined) await this.#work.wait();
        else prepared = await this.#send(batch);
      } catch (error) {
        prepared = undefined;
        const passing =
          error instanceof PublishRefused || (error instanceof TransientError && error.code !== "BUS_AWAY");
        const refused = refusal(error, streamName(this.#options.source));
        if (refused) this.disrupt(refused.message, refused.code);
        else if (passing) this.disrupt(error.message, error instanceof TransientError ? error.code : undefined);
        else this.#stop(toError(error));
      }
    }
  }

  /** The next batch, encoded; a renewed marker goes before it when one is due and the stream stands between transactions. */
  #prepare(lastSeq: number, prev: Position | undefined, skip: number, large: number): Prepared | undefined {
    const messages = skip === 0 && this.#markerDue() ? [this.#renewedMarker()] : this.#nextOf(skip);
    if (messages === undefined || messages.length === 0) return undefined;
    const { source, instance } = this.#options;
    const fence = { lastSeq, token: this.#at.token, tokenSubject: metaSubject(source, "writer"), large };
    const encoded = encodeBatch(messages, instance, fence, prev);
    return { messages, encoded, lastSeq, large: largeBehind(messages, fence) };
  }

  /** What waits, up to what one batch takes; the first of a few transactions of one message where that is quicker. */
  #nextOf(skip: number): readonly StreamMessage[] | undefined {
    const messages = this.#queue.next(skip);
    const few = messages !== undefined && messages.length > 1 && messages.length <= MAX_ONE_BY_ONE;
    const lone = few && messages.every(({ position }) => isComplete(position));
    return lone && this.#sendTimes.areQuickerOneByOne(messages.length) ? messages.slice(0, 1) : messages;
  }

  /** Sends a batch, waits for its acknowledgement, and prepares the next one meanwhile when that is a full one. */
  async #send(batch: Prepared): Promise<Prepared | undefined> {
    if (this.#options.lease.unconfirmedMs > this.#options.lease.ttlMs)
      throw new TransientError("LEASE_UNCONFIRMED", "the process was paused", {
        hint: "nothing to do: the lease is renewed first",
      });
    const sending = sendSurely(this.#options.port, this.#options.clock, batch.encoded);
    const { messages } = batch;
    const renewal = messages[0]?.subject === metaSubject(this.#options.source, "writer");
    const last = messages.at(-1) as Outgoing;
    const lastSeq = batch.lastSeq + messages.length;
    let next: Prepared | undefined;
    if (!renewal && this.#queue.hasFullBatch(messages.length))
      next = this.#prepare(lastSeq, last.position, messages.length, batch.large);
    const sentMs = this.#options.clock.now();
    const ack = await sending;
    this.#sendTimes.took(messages.length, this.#options.clock.now() - sentMs);
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
    const token = renewal ? ack.seq : this.#at.token;
    this.#at = { ...this.#at, lastSeq, lastId: idOf(last.head), token, large: batch.large };
    this.#advance(messages);
    return next;
  }

  /** A batch is in the stream: what its last complete message stands for may become a checkpoint. */
  #advance(messages: readonly Outgoing[]): void {
    this.#disruptions.reset();
    this.#stall.begin(this.#options.clock.now());
    const positioned = messages.filter((message): message is StreamMessage => message.position !== undefined);
    this.#prev = positioned.at(-1)?.position ?? this.#prev;
    const complete = positioned.findLast((message) => isComplete(message.position));
    if (complete) this.#hold(complete.position);
    if (complete && !complete.subject.startsWith("meta.")) this.#committedHead = complete.head;
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
    const inStream = this.#prev !== undefined && comparePositions(position, this.#prev) <= 0;
    const { lastSeq: streamSeq, lastId: id, created: streamCreated } = this.#at;
    this.#marks.hold({ position, streamSeq, id, streamCreated, inStream });
  }

  #tick(): void {
    this.#marks.tick();
    if (this.#markerDue()) this.#work.set();
  }

  #markerDue(): boolean {
    if (this.#storedThrough !== undefined) return false;
    if (this.#prev !== undefined && !isComplete(this.#prev)) return false;
    return this.#options.clock.now() - this.#markedMs > this.#options.markerEveryMs;
  }

  #renewedMarker(): Outgoing {
    const id = `${this.#options.source}.writer.${this.lease}.${this.#at.lastSeq + 1}`;
    return writerMarker({ ...this.#options, reason: "renewed" }, laterPosition(this.#prev, this.#marks.complete), id);
  }

  /** Finds out where the stream ends now, and goes on from there with what still waits, or gives up what cannot. */
  async #recover(reason: string): Promise<void> {
    const { lastSeq: highest, created } = this.#at;
    this.#stall.lookingSince(this.#options.clock.now(), this.#queue.waiting);
    const found = await recover({
      ...this.#options,
      signal: this.#life.signal,
      life: this.#life,
      disruptions: this.#disruptions,
      highest,
      created,
      reason,
      onTry: () => this.#marks.clear(),
    });
    this.#stall.found();
    if (found) this.#goOn(found, reason, await this.#hasLostBodies(found));
  }

  /** Of large events in the stream, or of those that wait. */
  async #hasLostBodies({ storedThrough }: Established): Promise<boolean> {
    if (storedThrough !== undefined) return true;
    for (const { head, data } of this.#queue.large()) {
      const ref = pointsTo({ data, header: (name) => headerOf(head, name) });
      if (ref !== undefined && !(await this.#options.hasBody(ref))) return true;
    }
    return false;
  }

  #goOn(found: Established, reason: string, lostBodies: boolean): void {
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
    if (lostBodies) {
      this.#stop(
        new TransientError("BUS_LOST_BODIES", `the bus lost bodies of large events of ${source}`, {
          hint: "nothing to do: the source is read again, and they are stored again",
        }),
      );
      return;
    }
    const stored = found.tail === undefined ? 0 : this.#queue.dropThrough(found.tail);
    const { complete: held } = this.#marks;
    const complete = found.tail && isComplete(found.tail) ? laterPosition(found.tail, held) : held;
    if (complete !== undefined) this.#hold(complete);
    this.#room.set();
    this.#takeCommits();
    log.info("bus_recovered", { source, reason, alreadyStored: stored, token: found.token });
  }
}
