// What the worker says of itself.

import type { Reason } from "../telemetry/reason.ts";
import type { SourceStatus } from "../worker/source-status.ts";

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

export interface SourceReport extends SourceStatus {
  readonly guard?: GuardStatus | undefined;
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
  readonly sources: readonly SourceReport[];
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
