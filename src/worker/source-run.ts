// One source that runs, as status and readiness see it.

import type { Writer } from "../bus/bus.ts";
import { MillraceError } from "../errors.ts";
import type { Position } from "../event/position.ts";
import type { SourceLag } from "../source/source.ts";
import { type RunSourceOptions, runSource, type SourceState } from "./run-source.ts";

/** What is counted of a source; the application turns it into metrics. */
export interface SourceRunCounts {
  read: number;
  published: number;
  saved: number;
  acknowledged: number;
  poison: number;
  retried: number;
}

export interface SourceRunOptions extends Omit<RunSourceOptions, "counts" | "onState" | "onWriter" | "onLag"> {
  readonly kind: string;
  readonly counts: SourceRunCounts;
}

/** How a source does. */
export interface SourceRunStatus extends Readonly<SourceRunCounts> {
  readonly id: string;
  readonly kind: string;
  readonly state: SourceState;
  readonly reason?: { readonly code: string; readonly message: string };
  readonly position: Position | undefined;
  /** Of the database's log, beyond what was acknowledged; undefined while it cannot be had. */
  readonly unconfirmedBytes: number | undefined;
  readonly lease: number | undefined;
  readonly heldForFsync: { readonly marks: number; readonly oldestMs: number };
  readonly stalledMs: number;
  readonly stalledBy: string | undefined;
}

export class SourceRun {
  /** Resolves when it was stopped; rejects with what it cannot go on from. */
  readonly ended: Promise<void>;
  readonly #options: SourceRunOptions;
  #state: SourceState = "starting";
  #reason: Error | undefined;
  #writer: Writer | undefined;
  #acknowledged: Position | undefined;
  #lag: SourceLag | undefined;

  constructor(options: SourceRunOptions) {
    this.#options = options;
    const { counts } = options;
    this.ended = runSource({
      ...options,
      counts: {
        read: (messages) => {
          counts.read += messages;
        },
        poison: () => {
          counts.poison++;
        },
        saved: () => {
          counts.saved++;
        },
        acknowledged: (position) => {
          counts.acknowledged++;
          this.#acknowledged = position;
        },
      },
      onState: (state, reason) => {
        if (state === "retrying") counts.retried++;
        this.#state = state;
        if (state !== "starting" && state !== "waiting-for-lease") this.#reason = reason;
      },
      onWriter: (writer) => {
        this.#writer = writer;
      },
      onLag: (lag) => {
        this.#lag = lag;
      },
    });
    this.ended.catch(() => {}); // whoever waits for the worker's end hears of it
  }

  status(): SourceRunStatus {
    const { id, kind, counts } = this.#options;
    const reason = this.#reason;
    return {
      id,
      kind,
      state: this.#state,
      ...(reason
        ? { reason: { code: reason instanceof MillraceError ? reason.code : "UNEXPECTED", message: reason.message } }
        : {}),
      position: this.#acknowledged,
      unconfirmedBytes: this.#lag?.unconfirmedBytes,
      lease: this.#writer?.lease,
      heldForFsync: this.#writer?.heldForFsync() ?? { marks: 0, oldestMs: 0 },
      stalledMs: this.#writer?.stalledMs() ?? 0,
      stalledBy: this.#writer?.stalledBy(),
      ...counts,
    };
  }
}
