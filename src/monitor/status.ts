// What the worker says of itself.

import type { Position } from "../event/position.ts";

/** Why something does not run; never row data. */
export interface Reason {
  readonly code: string;
  readonly message: string;
}

/** Events between the two positions can never come; `after` is null when nothing was stored before. */
export interface Gap {
  readonly code: string | null;
  readonly after: string | null;
  readonly upTo: string;
  readonly agoMs: number;
}

/** Rows of some tables came or went without an event: `collections` says of which. */
export interface TableGap {
  readonly code: string | null;
  readonly collections: readonly string[];
  readonly agoMs: number;
}

/** What the guard of a source sees. */
export interface GuardStatus {
  /** Whether its last look was answered. */
  readonly sees: boolean;
  /** What is beyond its limit, as `millrace_guard_exceeded`; the value is undefined while it cannot be had. */
  readonly exceeded: readonly {
    readonly measure: string;
    readonly value?: number | undefined;
    readonly limit: number;
    /** The same in words, with the page of what to do. */
    readonly message: string;
  }[];
  readonly timeToFullSeconds?: number | undefined;
}

export interface SourceStatus {
  readonly id: string;
  readonly kind: string;
  readonly state: "starting" | "waiting-for-lease" | "running" | "retrying" | "stopped";
  readonly reason?: Reason | undefined;
  /** The newest position that was acknowledged to the database. */
  readonly position?: Position | undefined;
  /** The sequence of the newest message that its stream is known to hold. */
  readonly sequence?: number | undefined;
  /** Bytes of the database's log that it has not yet read for this source. Each lag is undefined while it cannot be had. */
  readonly unsentBytes?: number | undefined;
  /** Bytes of the database's log beyond what was acknowledged. */
  readonly unconfirmedBytes?: number | undefined;
  /** Since the newest stored transaction was committed; 0 when all that the log held is stored. */
  readonly lagSeconds?: number | undefined;
  /** How long the newest heartbeat took from the database's log to this worker, or has taken by now. */
  readonly heartbeatSeconds?: number | undefined;
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
  readonly gap?: Gap | undefined;
  /** The newest one of some of its tables alone, since this worker was started. */
  readonly tableGap?: TableGap | undefined;
  readonly guard?: GuardStatus | undefined;
  /** How often in the last 15 minutes its writer had to find out again where the stream ends. */
  readonly recentRecoveries?: number | undefined;
  /** What it goes on without, such as a table that cannot be published. */
  readonly notices: readonly Reason[];
  readonly read: number;
  readonly published: number;
  readonly saved: number;
  readonly acknowledged: number;
  readonly poison: number;
}

export interface AutomationStatus {
  readonly id: string;
  readonly state: "starting" | "waiting" | "running" | "retrying" | "failed" | "stopped";
  readonly reason?: Reason | undefined;
  readonly handled: number;
  readonly skipped: number;
  /** Events that none of its triggers asked for; absent until there was one. */
  readonly filtered?: number;
  readonly retried: number;
  readonly dead: number;
  /** Dead letters by their reason: `cycle`, `exhausted` and so on. */
  readonly deadBy?: Readonly<Record<string, number>>;
  /** Handlers that run now, and those of them that have ignored their timeout. */
  readonly running: number;
  readonly hanging: number;
  /** For how long the oldest of the others has run, and how long it may. */
  readonly runningMs: number;
  readonly timeoutMs: number;
  /** For how long the oldest outcome could not be told to the bus. */
  readonly settlingMs: number;
  /** What keeps it from what waits, though nothing of it is broken. */
  readonly obstacle?: { readonly code: string; readonly message: string };
  /** Gaps that it went on behind. */
  readonly gaps: number;
  /** The newest one: sequences of the source's stream, and how long ago that was. */
  readonly gap?: {
    readonly source: string;
    readonly first: number;
    readonly last: number;
    readonly agoMs: number;
  };
}

/** What the worker knows of its parts. */
export interface Report {
  readonly version: string;
  readonly startedAt: string;
  /** `fsync`: "always", or the server's sync interval in ms. */
  readonly bus: {
    readonly connected: boolean;
    readonly fsync: "always" | number;
    /** Why it cannot be connected to, as far as that is known. */
    readonly trouble?: Reason | undefined;
  };
  readonly sources: readonly SourceStatus[];
  readonly automations: readonly AutomationStatus[];
}

/** One line of /readyz. */
export interface Readiness {
  readonly kind: "bus" | "source" | "automation";
  readonly id: string;
  readonly ready: boolean;
  /** What is the case, for a machine; absent where all is well. */
  readonly code?: string;
  readonly reason: string;
  /** What is beyond its limit, whether ready or not; absent where nothing is. */
  readonly alarms?: readonly Reason[];
}

/** The body of /api/status; `ready` and `parts` are that of /readyz. */
export interface Status extends Report {
  readonly ready: boolean;
  readonly parts: readonly Readiness[];
}

/** As a part of the report; never more of an error than its words. */
export function troubleOf(error: Reason | undefined): { readonly trouble?: Reason } {
  return error === undefined ? {} : { trouble: { code: error.code, message: error.message } };
}
