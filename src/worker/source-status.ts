// How one source does: kept by who supervises it, read by status, readiness and metrics.

import type { RecordedGap, Writer, WriterListener } from "../bus/source-stream.ts";
import type { Clock } from "../clock.ts";
import { BugError, MillraceError } from "../errors.ts";
import { isComplete } from "../event/position.ts";
import { type PlainPositions, type Positions, plainPositions } from "../event/positions.ts";
import type { SourceId } from "../event/source-id.ts";
import type { SourceGap } from "../event/system-event.ts";
import type { PartitionCounts, Source, SourceCount, SourceLag } from "../source/source.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type Reason, reasonOf } from "../telemetry/reason.ts";
import type { SourceCounts } from "../telemetry/source-metrics.ts";
import type { CheckpointCounts } from "./checkpoint.ts";
import { type CopyStatus, CopyTracker } from "./copy-tracker.ts";
import { ProgressLog } from "./progress-log.ts";
import type { PumpCounts } from "./pump.ts";
import { type LagFigures, LagGauge } from "./source-lag.ts";

export type SourceState = "waiting-for-lease" | "starting" | "running" | "retrying" | "stopped";

/** Rows of some tables came or went without an event: `collections` says of which. */
export interface TableGap {
  readonly code: string | null;
  readonly collections: readonly string[];
  readonly agoMs: number;
}

/** A source as it is now; each lag is undefined while it cannot be had. */
export interface SourceStatus
  extends Partial<LagFigures>,
    Readonly<Partial<Pick<SourceCounts, SourceCount | "opened">>>,
    Readonly<Pick<SourceCounts, "read" | "published" | "saved" | "acknowledged" | "poison">> {
  readonly id: string;
  readonly kind: string;
  readonly state: SourceState;
  readonly reason?: Reason | undefined;
  /** The newest position that was acknowledged to the database; where it has partitions, of each. */
  readonly position?: PlainPositions | undefined;
  /** The sequence of the newest message that its stream is known to hold. */
  readonly sequence?: number | undefined;
  /** The lease number that its writer writes. */
  readonly lease?: number | undefined;
  /** Stored on the bus, not yet synced to its disks. */
  readonly heldForFsync: { readonly marks: number; readonly oldestMs: number };
  /** For how long nothing could be stored though something waited, and why as far as the bus has said. */
  readonly stalledMs: number;
  readonly stalledBy?: Reason | undefined;
  /** For how long a checkpoint could not be saved. */
  readonly unsavedMs: number;
  /** The newest gap that the source went on behind, and how long ago that was. */
  readonly gap?: RecordedGap | undefined;
  /** The newest one of some of its tables alone, since this worker was started. */
  readonly tableGap?: TableGap | undefined;
  /** How often in the last 15 minutes its writer had to find out again where the stream ends. */
  readonly recentRecoveries?: number | undefined;
  /** What it goes on without, such as a table that cannot be published. */
  readonly notices: readonly Reason[];
  /** Of its log, where that has any. */
  readonly partitions?: PartitionCounts | undefined;
  /** What its kind says of its reading, in words. */
  readonly summary?: string | undefined;
  /** The newest copy of its existing rows; undefined before the first one, and where another worker would copy. */
  readonly backfill?: CopyStatus | undefined;
}

export interface SourceTrackerOptions {
  readonly id: SourceId;
  readonly kind: string;
  /** Raised here; the metrics read them. */
  readonly counts: SourceCounts;
  readonly clock: Clock;
  readonly log: Logger;
}

/** As far back as the alert MillraceBusUnsteady looks. */
const RECENT_MS = 15 * 60_000;

/** Hears all that becomes of a source. */
export class SourceTracker implements PumpCounts, CheckpointCounts {
  readonly id: SourceId;
  /** Hears what becomes of its copies. */
  readonly copy: CopyTracker;
  readonly #options: SourceTrackerOptions;
  readonly #gauge = new LagGauge();
  readonly #progress: ProgressLog;
  #state: SourceState = "starting";
  #reason: Reason | undefined = { code: "BUS_DISCONNECTED", message: "it begins once the bus is there" };
  #writer: Writer | undefined;
  #reader: Source | undefined;
  #acknowledged: Positions | undefined;
  /** Up to where the stream held all when its writer was opened. */
  #resumed: Positions | undefined;
  #savingSince: number | undefined;
  #ownsLog = false;
  #tableGap: { readonly data: Omit<TableGap, "agoMs">; readonly at: number } | undefined;
  #gap: { readonly data: Omit<RecordedGap, "agoMs">; readonly at: number } | undefined;
  #recoveries: readonly number[] = [];

  constructor(options: SourceTrackerOptions) {
    this.#options = options;
    this.id = options.id;
    this.copy = new CopyTracker({ ...options, source: options.id });
    this.#progress = new ProgressLog(options.log);
  }

  /** Whether what the database keeps by its name is its own: it got through to reading it, or stands by for who does. */
  get ownsLog(): boolean {
    return this.#ownsLog;
  }

  /** What was acknowledged to the database last, before that what the stream held; undefined while another worker reads it. */
  get through(): Positions | undefined {
    return this.#acknowledged ?? this.#resumed;
  }

  status(): SourceStatus {
    const { id, kind, counts, clock } = this.#options;
    const [writer, reader] = [this.#writer, this.#reader];
    const stalledBy = writer?.stalledBy();
    const backfill = this.copy.status();
    return {
      id,
      kind,
      state: this.#state,
      ...(this.#reason && { reason: this.#reason }),
      position: this.#acknowledged && plainPositions(this.#acknowledged),
      sequence: writer?.lastSequence(),
      ...(writer && reader && this.#gauge.figures({ writer, reader }, clock.wall())),
      lease: writer?.lease,
      heldForFsync: writer?.heldForFsync() ?? { marks: 0, oldestMs: 0 },
      stalledMs: writer?.stalledMs() ?? 0,
      ...(stalledBy && { stalledBy: { code: stalledBy.code, message: stalledBy.message } }),
      unsavedMs: this.#savingSince === undefined ? 0 : clock.now() - this.#savingSince,
      ...(this.#gap && { gap: { ...this.#gap.data, agoMs: clock.now() - this.#gap.at } }),
      ...(this.#tableGap && { tableGap: { ...this.#tableGap.data, agoMs: clock.now() - this.#tableGap.at } }),
      notices: (reader?.notices() ?? []).map(({ code, message }) => ({ code, message })),
      ...(reader?.partitions && { partitions: reader.partitions() }),
      ...(reader?.summary && { summary: reader.summary() }),
      ...(backfill && { backfill }),
      ...counts,
      recentRecoveries: this.#recent().length,
    };
  }

  enter(state: SourceState, error?: Error): void {
    const { counts } = this.#options;
    if (state === "retrying") counts.retried++;
    if (state === "stopped" && error !== undefined && isBug(error)) counts.bugs++;
    if (state === "waiting-for-lease" || state === "running") this.#ownsLog = true;
    if (state === "stopped") this.#ownsLog = false;
    if (state === "waiting-for-lease") {
      // What the other worker has reached is not known here.
      this.#acknowledged = undefined;
      this.#resumed = undefined;
    }
    // One that failed is retrying until it runs, and one that stood still until it moves.
    if (state === "starting" && this.#state === "retrying") return;
    if (state === "running" && this.#standsStill) return;
    this.#show(state, error && reasonOf(error));
  }

  /** Writer and reader, as soon as there are any. */
  opened(writer: Writer, reader?: Source): void {
    if (this.#writer === undefined) this.#gauge.begin(writer.resume);
    this.#resumed = writer.resume;
    this.#writer = writer;
    this.#reader = reader;
  }

  closed(): void {
    this.copy.closed();
    this.#writer = undefined;
    this.#reader = undefined;
    this.#savingSince = undefined;
  }

  /** @param lag undefined where it cannot be had */
  lagged(lag: SourceLag | undefined): void {
    this.#gauge.looked(lag);
    this.#progress.look(this.status(), this.#options.clock.now());
  }

  read(messages: number, upTo: Positions): void {
    this.#options.counts.read += messages;
    this.#gauge.read(upTo);
    if (this.#standsStill) this.#show("running", undefined); // it has moved
  }

  ended(partitions: ReadonlySet<string>): void {
    this.#gauge.ended(partitions);
  }

  poison(): void {
    this.#options.counts.poison++;
  }

  /** The database has agreed to send. */
  started(): void {
    this.#options.counts.opened++;
    this.enter("running");
  }

  counted(what: SourceCount): void {
    this.#options.counts[what]++;
  }

  stored(messages: Parameters<NonNullable<WriterListener["stored"]>>[0]): void {
    const { counts } = this.#options;
    for (const { position, committedAt } of messages) {
      const marker = committedAt === undefined;
      counts[marker ? "markers" : "published"]++;
      if (!marker && isComplete(position)) counts.transactions++;
    }
  }

  recovered(): void {
    this.#options.counts.recovered++;
    this.#recoveries = [...this.#recent(), this.#options.clock.now()];
  }

  saving(): void {
    this.#savingSince = this.#options.clock.now();
  }

  saved(): void {
    this.#options.counts.saved++;
    this.#savingSince = undefined;
  }

  acknowledged(positions: Positions): void {
    this.#options.counts.acknowledged++;
    this.#acknowledged = positions;
  }

  /** The stream tells of it already, whoever went on behind it. */
  gapOnRecord({ code, after, upTo, agoMs }: RecordedGap): void {
    this.#gap = { data: { code, after, upTo }, at: this.#options.clock.now() - agoMs };
  }

  /** It goes on behind a gap; of some tables alone it is another matter: the source itself goes on as it was. */
  wentOn(gap: SourceGap): void {
    const { counts, clock } = this.#options;
    const { code, collections } = gap;
    counts[collections === undefined ? "gaps" : "tableGaps"]++;
    if (collections === undefined) this.gapOnRecord({ ...gap, agoMs: 0 });
    else this.#tableGap = { data: { code, collections }, at: clock.now() };
  }

  get #standsStill(): boolean {
    return this.#reason?.code === "SOURCE_STUCK";
  }

  #show(state: SourceState, reason: Reason | undefined): void {
    this.#state = state;
    this.#reason = reason;
    this.#progress.look(this.status(), this.#options.clock.now());
  }

  #recent(): readonly number[] {
    const since = this.#options.clock.now() - RECENT_MS;
    return this.#recoveries.filter((at) => at >= since);
  }
}

function isBug(error: Error): boolean {
  return error instanceof BugError || !(error instanceof MillraceError);
}
