// The writer of one source's stream: one atomic batch in flight, fenced by number and token; the next one is filled and
// encoded meanwhile. Anything unexpected ends in `establish`, never in a guess.

import type { WakeUp } from "../../../clock.ts";
import { TransientError, toError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import { areComplete, laterPositions, type Positions } from "../../../event/positions.ts";
import { streamName } from "../../../event/source-id.ts";
import { metaSubject } from "../../../event/subject.ts";
import type { Reason } from "../../../telemetry/reason.ts";
import type { Mark, SideBatch, Writer, WriterItem } from "../../source-stream.ts";
import { Lifetime } from "../client/lifetime.ts";
import { startUpkeep } from "../lease/upkeep.ts";
import type { Established } from "../recovery/establish.ts";
import { Disruptions, hasLostBodies, hasLostMessages, lostBodies, lostMessages, recover } from "../recovery/recover.ts";
import { isPassing, refusal, Stall } from "../recovery/stall.ts";
import { writerMarker } from "../recovery/start-markers.ts";
import { encodeBatch, largeBehind, type Outgoing } from "../stream/encode.ts";
import type { Encoded } from "../stream/port.ts";
import { Marks } from "./marks.ts";
import { SendTimes } from "./send-times.ts";
import { sendWithRetry } from "./send-with-retry.ts";
import { SideBatches } from "./side-batches.ts";
import { Standing } from "./standing.ts";
import type { WriterOptions } from "./writer-options.ts";
import { ReadAgain, WriterQueue } from "./writer-queue.ts";

const FLUSH_POLL_MS = 20;

interface Prepared {
  readonly of: "tail" | "marker" | "side";
  readonly messages: readonly Outgoing[];
  readonly encoded: readonly Encoded[];
  readonly lastSeq: number;
  /** Once it is stored: see `Fence`. */
  readonly large: number;
}

export class JetStreamWriter implements Writer {
  readonly resume: Positions | undefined;
  readonly lease: number;
  readonly progress: Writer["progress"];
  readonly progressSeq: number;
  readonly nextMark = (): Promise<Mark> => this.#marks.next();
  readonly save = (mark: Mark): Promise<void> => this.#marks.save(mark, this.lease, this.#options.checkpoints);
  readonly nextSaved = (): Promise<Mark> => this.#marks.nextSaved();
  readonly stalledMs = (): number => this.#stall.ms(this.#options.clock.now(), this.#queue.waiting);
  readonly stalledBy = (): Reason | undefined => (this.stalledMs() > 0 ? this.#disruptions.trouble : undefined);
  readonly lastSequence = (): number => this.#at.lastSeq;
  readonly committedAt = (): string | undefined => this.#standing.committedAt;
  readonly heldForFsync = (): { readonly marks: number; readonly oldestMs: number } => this.#marks.waiting;
  readonly #life = new Lifetime();
  readonly failed: Promise<never> = this.#life.failed;
  readonly #options: WriterOptions;
  readonly #queue = new WriterQueue();
  readonly #sides: SideBatches;
  readonly #sendTimes = new SendTimes();
  readonly #marks: Marks;
  readonly #work: WakeUp = this.#life.wakeUp();
  readonly #room: WakeUp = this.#life.wakeUp();
  readonly #done: Promise<void>;
  readonly #stopListening: () => void;
  readonly #onClosed: () => Promise<void>;
  readonly #disruptions = new Disruptions();
  #at: Established;
  readonly #standing: Standing;
  #markedMs: number;
  readonly #again: ReadAgain;
  readonly #stall = new Stall();

  /** @param onClosed called once the writer is done with its port */
  constructor(options: WriterOptions, established: Established, onClosed: () => Promise<void> = async () => {}) {
    this.#options = options;
    this.#onClosed = onClosed;
    this.#at = established;
    this.#standing = new Standing(established, () => this.#marks.complete);
    this.#sides = new SideBatches(this.#life, this.#standing);
    const start = laterPositions(established.resume, established.storedThrough);
    this.#again = new ReadAgain(established.storedThrough, () => this.#hold(start));
    ({ resume: this.resume, progressSeq: this.progressSeq } = established);
    this.progress = established.progress?.value;
    this.lease = options.lease.number;
    this.#marks = new Marks(this.#life, options.fsync, options.clock, start);
    this.#markedMs = options.clock.now();
    // Never the tail: a saved heartbeat may be ahead of it.
    this.#hold(start);
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

  async write(items: readonly WriterItem[]): Promise<void> {
    if (!this.#queue.waiting) this.#stall.begin(this.#options.clock.now());
    for (const item of items) if (!this.#again.has(item)) this.#queue.push(item);
    this.#work.set();
    while (this.#queue.full) await this.#life.until(this.#room);
  }

  insert(batch: SideBatch): Promise<void> {
    const stored = this.#sides.insert(batch);
    this.#work.set();
    return stored;
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
    while (this.#queue.next() && !this.#life.ended && clock.now() < until) await clock.sleep(FLUSH_POLL_MS);
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
    while (!this.#life.ended) {
      try {
        const { reason } = this.#disruptions;
        if (reason !== undefined) {
          prepared = undefined;
          await this.#recover(reason);
          continue;
        }
        this.#takeCommits();
        const batch = prepared ?? this.#prepare(this.#at.lastSeq, this.#standing.newest?.position, 0, this.#at.large);
        prepared = undefined;
        if (batch === undefined) await this.#work.wait();
        else prepared = await this.#send(batch);
      } catch (error) {
        prepared = undefined;
        const passing = isPassing(error);
        const refused = refusal(error, streamName(this.#options.source));
        if (refused) this.disrupt(refused.message, refused.code);
        else if (passing) this.disrupt(error.message, error instanceof TransientError ? error.code : undefined);
        else this.#stop(toError(error));
      }
    }
  }

  /** The next batch, encoded; between transactions a marker that is due goes before it, or a batch of the second producer. */
  #prepare(lastSeq: number, prev: Position | undefined, skip: number, large: number): Prepared | undefined {
    const of = skip > 0 ? "tail" : this.#turn();
    const messages = this.#messages(of, lastSeq, skip);
    if (messages === undefined || messages.length === 0) return undefined;
    const { source, instance } = this.#options;
    const fence = { lastSeq, token: this.#at.token, tokenSubject: metaSubject(source, "writer"), large };
    const encoded = encodeBatch(messages, instance, fence, prev);
    return { of, messages, encoded, lastSeq, large: largeBehind(messages, fence) };
  }

  #turn(): Prepared["of"] {
    if (this.#markerDue()) return "marker";
    return !this.#again.underWay && this.#sides.isNext(this.#queue.waiting) ? "side" : "tail";
  }

  #messages(of: Prepared["of"], lastSeq: number, skip: number): readonly Outgoing[] | undefined {
    if (of === "marker") return [this.#renewedMarker()];
    if (of === "side") return this.#sides.messages(this.#options.source, this.lease, lastSeq);
    const waiting = this.#queue.next(skip);
    return waiting && this.#sendTimes.share(waiting);
  }

  /** Sends a batch, waits for its acknowledgement, and prepares the next one meanwhile when that is a full one. */
  async #send(batch: Prepared): Promise<Prepared | undefined> {
    this.#options.lease.refuseUnconfirmed();
    const { of, messages } = batch;
    const last = messages.at(-1) as Outgoing;
    const lastSeq = batch.lastSeq + messages.length;
    const sending = sendWithRetry(this.#options.port, this.#options.clock, batch.encoded, lastSeq);
    let next: Prepared | undefined;
    // Where a batch of the second producer may follow, the next one is not made ahead.
    if (of === "tail" && !this.#sides.ready && this.#queue.hasFullBatch(messages.length))
      next = this.#prepare(lastSeq, last.position, messages.length, batch.large);
    const sentMs = this.#options.clock.now();
    await sending;
    this.#sendTimes.took(messages.length, this.#options.clock.now() - sentMs);
    let { token, progress } = this.#at;
    if (of === "marker") {
      this.#markedMs = this.#options.clock.now();
      token = lastSeq;
    } else if (of === "side") progress = this.#sides.stored();
    else {
      this.#queue.drop(messages.length);
      this.#sides.tailStored();
    }
    this.#at = { ...this.#at, lastSeq, lastId: last.id, token, large: batch.large, progress };
    this.#advance(messages);
    return next;
  }

  /** A batch is in the stream: what its last complete message stands for may become a checkpoint. */
  #advance(messages: readonly Outgoing[]): void {
    this.#disruptions.reset();
    this.#stall.begin(this.#options.clock.now());
    const { placed, ends } = this.#standing.advance(messages);
    if (ends) this.#hold(this.#standing.stored);
    this.#options.on.stored?.(placed);
    this.#room.set();
    this.#takeCommits();
  }

  /** Commits with all before them stored stand behind the stream's last message. So do ends, behind which marks lack a partition. */
  #takeCommits(): void {
    if (!this.#again.underWay) this.#hold(this.#queue.takeCommits());
    this.#standing.end(this.#marks.end(this.#queue.takeEnded()));
  }

  /** The source is here, between transactions or not. Nothing while bodies are missing: a mark is about all before it. */
  #hold(reached: Positions | undefined): void {
    if (reached === undefined || !areComplete(reached) || this.#again.underWay) return;
    const { lastSeq: streamSeq, lastId: id, created: streamCreated, progress } = this.#at;
    this.#marks.hold(reached, { streamSeq, id, streamCreated, progress, behind: this.#standing.stored });
  }

  #tick(): void {
    this.#marks.tick();
    if (this.#markerDue()) this.#work.set();
  }

  #markerDue(): boolean {
    if (this.#again.underWay || this.#standing.inside) return false;
    return this.#options.clock.now() - this.#markedMs > this.#options.markerEveryMs;
  }

  #renewedMarker(): Outgoing {
    const id = `${this.#options.source}.writer.${this.lease}.${this.#at.lastSeq + 1}`;
    return writerMarker({ ...this.#options, reason: "renewed" }, this.#standing.beside, id);
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
    if (found) this.#goOn(found, reason, await hasLostBodies(found, this.#queue.large(), this.#options.hasBody));
  }

  #goOn(found: Established, reason: string, bodiesLost: boolean): void {
    this.#marks.recovered();
    const { log, source } = this.#options;
    const before = this.#standing.stored;
    const { progress } = this.#at;
    this.#at = found;
    this.#standing.find(found, this.#marks.over);
    this.#markedMs = this.#options.clock.now();
    this.#options.on.recovered?.();
    if (hasLostMessages(found, before) || this.#sides.hasLost(progress, found.progress)) {
      log.error("bus_messages_lost", { source, ...found.lost });
      this.#stop(lostMessages(source));
      return;
    }
    if (bodiesLost) {
      this.#stop(lostBodies(source));
      return;
    }
    this.#sides.found(found.progress);
    const stored = found.stored === undefined ? 0 : this.#queue.dropThrough(found.stored);
    const { complete: held } = this.#marks;
    this.#hold(found.stored && areComplete(found.stored) ? laterPositions(found.stored, held) : held);
    this.#room.set();
    this.#takeCommits();
    log.info("bus_recovered", { source, reason, alreadyStored: stored, token: found.token });
  }
}
