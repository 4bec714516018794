// One source that runs, as status and readiness see it.

import type { RecordedGap, Writer } from "../bus/bus.ts";
import { BugError, MillraceError } from "../errors.ts";
import type { Position } from "../event/position.ts";
import type { SourceId } from "../event/source-id.ts";
import type { Source } from "../source/source.ts";
import { ProgressLog } from "./progress-log.ts";
import { type RunSourceOptions, runSource, type SourceState } from "./run-source.ts";
import { type LagFigures, LagGauge } from "./source-lag.ts";

/** What is counted of a source; the application turns it into metrics. */
export interface SourceRunCounts {
  read: number;
  published: number;
  saved: number;
  acknowledged: number;
  poison: number;
  retried: number;
  bugs: number;
}

export interface SourceRunOptions
  extends Omit<RunSourceOptions, "counts" | "onState" | "onParts" | "onRecordedGap" | "onLag"> {
  readonly kind: string;
  readonly counts: SourceRunCounts;
}

interface Reason {
  readonly code: string;
  readonly message: string;
}

/** How a source does; the lags are undefined while they cannot be had. */
export interface SourceRunStatus extends Readonly<SourceRunCounts>, Partial<LagFigures> {
  readonly id: string;
  readonly kind: string;
  readonly state: SourceState;
  readonly reason?: Reason;
  readonly position: Position | undefined;
  /** Of the newest message that its stream is known to hold. */
  readonly sequence: number | undefined;
  readonly lease: number | undefined;
  readonly heldForFsync: { readonly marks: number; readonly oldestMs: number };
  /** For how long nothing could be stored though something waited, and why as far as the bus has said. */
  readonly stalledMs: number;
  readonly stalledBy?: Reason;
  /** For how long a checkpoint could not be saved. */
  readonly unsavedMs: number;
  /** The newest gap that it went on behind, and how long ago. */
  readonly gap?: RecordedGap;
  /** The newest one of some tables alone. */
  readonly tableGap?: TableGap;
  /** What it goes on without. */
  readonly notices: readonly Reason[];
}

/** Rows of some tables came or went without an event. */
export interface TableGap {
  readonly code: string | null;
  readonly collections: readonly string[];
  readonly agoMs: number;
}

export class SourceRun {
  /** Resolves when it was stopped; rejects with what it cannot go on from. */
  readonly ended: Promise<void>;
  readonly #options: SourceRunOptions;
  readonly #gauge = new LagGauge();
  readonly #progress: ProgressLog;
  #state: SourceState = "starting";
  #reason: Error | undefined;
  #writer: Writer | undefined;
  #reader: Source | undefined;
  #acknowledged: Position | undefined;
  #savingSince: number | undefined;
  #ownsLog = false;
  #tableGap: { readonly data: Omit<TableGap, "agoMs">; readonly at: number } | undefined;
  #gap: { readonly data: Omit<RecordedGap, "agoMs">; readonly at: number } | undefined;

  constructor(options: SourceRunOptions) {
    this.#options = options;
    this.#progress = new ProgressLog(options.log);
    const { counts } = options;
    this.ended = runSource({
      ...options,
      counts: {
        read: (messages, upTo) => {
          counts.read += messages;
          this.#gauge.read(upTo);
          if (this.#standsStill) this.#enter("running", undefined); // it has moved
        },
        poison: () => {
          counts.poison++;
        },
        saving: () => {
          this.#savingSince = performance.now();
        },
        saved: () => {
          counts.saved++;
          this.#savingSince = undefined;
        },
        acknowledged: (position) => {
          counts.acknowledged++;
          this.#acknowledged = position;
        },
      },
      onGap: async (gap) => {
        await options.onGap(gap);
        // Of some tables alone it is another matter: the source itself goes on as it was.
        const { code, collections } = gap;
        if (collections === undefined) this.#show({ ...gap, agoMs: 0 });
        else this.#tableGap = { data: { code, collections }, at: performance.now() };
      },
      onRecordedGap: (gap) => this.#show(gap),
      onState: (state, reason) => {
        if (state === "retrying") counts.retried++;
        if (state === "stopped" && reason !== undefined && isBug(reason)) counts.bugs++;
        if (state === "waiting-for-lease" || state === "running") this.#ownsLog = true;
        if (state === "stopped") this.#ownsLog = false;
        // One that failed is retrying until it runs, and one that stood still until it moves.
        if (state === "starting" && this.#state === "retrying") return;
        if (state === "running" && this.#standsStill) return;
        this.#enter(state, reason);
      },
      onParts: (parts) => {
        if (this.#writer === undefined) this.#gauge.read(parts?.writer.resume);
        this.#writer = parts?.writer;
        this.#reader = parts?.reader;
        this.#savingSince = undefined;
      },
      onLag: (lag) => {
        this.#gauge.looked(lag);
        this.#progress.look(this.status(), performance.now());
      },
    });
    this.ended.catch(() => {}); // whoever waits for the worker's end hears of it
  }

  status(): SourceRunStatus {
    const { id, kind, counts } = this.#options;
    const [writer, reader] = [this.#writer, this.#reader];
    const stalledBy = writer?.stalledBy();
    return {
      id,
      kind,
      state: this.#state,
      ...(this.#reason && { reason: reasonOf(this.#reason) }),
      position: this.#acknowledged,
      sequence: writer?.lastSequence(),
      ...(writer && reader && this.#gauge.figures({ writer, reader }, Date.now())),
      lease: writer?.lease,
      heldForFsync: writer?.heldForFsync() ?? { marks: 0, oldestMs: 0 },
      stalledMs: writer?.stalledMs() ?? 0,
      ...(stalledBy && { stalledBy: { code: stalledBy.code, message: stalledBy.message } }),
      unsavedMs: this.#savingSince === undefined ? 0 : performance.now() - this.#savingSince,
      ...(this.#gap && { gap: { ...this.#gap.data, agoMs: performance.now() - this.#gap.at } }),
      ...(this.#tableGap && { tableGap: { ...this.#tableGap.data, agoMs: performance.now() - this.#tableGap.at } }),
      notices: (reader?.notices() ?? []).map(({ code, message }) => ({ code, message })),
      ...counts,
    };
  }

  get id(): SourceId {
    return this.#options.id;
  }

  /** Whether what the database keeps by its name is its own: it got through to reading it, or stands by for who does. */
  get ownsLog(): boolean {
    return this.#ownsLog;
  }

  get #standsStill(): boolean {
    return this.#reason instanceof MillraceError && this.#reason.code === "SOURCE_STUCK";
  }

  #show({ code, after, upTo, agoMs }: RecordedGap): void {
    this.#gap = { data: { code, after, upTo }, at: performance.now() - agoMs };
  }

  #enter(state: SourceState, reason: Error | undefined): void {
    this.#state = state;
    this.#reason = reason;
    this.#progress.look(this.status(), performance.now());
  }
}

function isBug(error: Error): boolean {
  return error instanceof BugError || !(error instanceof MillraceError);
}

function reasonOf(error: Error): Reason {
  return { code: error instanceof MillraceError ? error.code : "UNEXPECTED", message: error.message };
}
