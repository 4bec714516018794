// What a source's log holds back in its database, or how near it is to its end: what a connector measures for the guard.

import type { HistoryLostError } from "../errors.ts";
import type { Positions } from "../event/positions.ts";
import type { Reason } from "../telemetry/reason.ts";

/** One thing that a source's log does to its database. The connector names and measures it, the guard compares it with its limit. */
export interface RetentionMetric {
  /** As log, status and system event have it, in camel case; with its unit it makes the gauge's name. */
  readonly name: string;
  /** Undefined for what is either 1 or 0, and has no gauge of its own. */
  readonly unit: "bytes" | "seconds" | "transactions" | "ratio" | undefined;
  /** What it is, in one sentence. */
  readonly help: string;
  /** From where on it is worth a warning. */
  readonly limit: number;
  /**
   * What it means to the guard. `lost`: 1 when the database has given up the log, and then no other measure says anything;
   * `timeToFull`: seconds until then, of which less is worse; `room`: of which less is worse too; `lag`: an age to which the bus
   * adds the time that it holds back.
   */
  readonly means?: "lost" | "timeToFull" | "room" | "lag";
  /** What a person does about it: for the log. */
  readonly hint: string;
  /** What is the case beyond the limit: for status and readiness. */
  readonly alarm: (value: number, limit: number) => string;
  /** Of `timeToFull`: what is said of less than an hour, though the limit may be further off. */
  readonly soon?: (seconds: number) => Reason;
}

/** Whether it is worth a warning. @param share of the limit: below 1 for one that was crossed before, until it is well back */
export function isBeyond({ means, limit }: RetentionMetric, value: number, share = 1): boolean {
  return means === "timeToFull" || means === "room" ? value < limit / share : value > limit * share;
}

/** What was measured, by the metrics' names; undefined where one does not apply now. */
export type LogRetention = Readonly<Record<string, number | undefined>>;

/** Looks at what a source holds back, beside its reader and without the lease. It changes nothing but in `drop`. */
export interface RetentionProbe extends AsyncDisposable {
  readonly metrics: readonly RetentionMetric[];
  /** The last resort, where it was asked for. */
  readonly full:
    | {
        /** The name of the metric that it goes by. */
        readonly measure: string;
        readonly limit: number;
        readonly action: "stop" | "drop-and-gap";
        /** What the source stops by. */
        readonly reason: HistoryLostError;
      }
    | undefined;
  /**
   * Undefined when there is nothing yet, or no more, that could be held.
   * @param through what was acknowledged last; undefined where this process does not know
   * @throws TransientError, ConfigError
   */
  look(through: Positions | undefined): Promise<LogRetention | undefined>;
  /** The last look in words, for a person; absent where the numbers are shown in a place of their own. */
  readonly summary?: string | undefined;
  /**
   * Gives up the log, so that the database's disk survives, if it is still full.
   * @returns whether it was given up @throws TransientError
   */
  drop(): Promise<boolean>;
}
