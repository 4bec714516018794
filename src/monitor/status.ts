// What the worker says of itself.

import type { AutomationStatus } from "../automation/run/automation-status.ts";
import type { EndpointStatus } from "../egress/open-endpoints.ts";
import type { AutomationCounts } from "../telemetry/automation-metrics.ts";
import type { IngressCounts } from "../telemetry/ingress-metrics.ts";
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
  /** What is said of less than an hour until then. */
  readonly soon?: Reason | undefined;
  /** All that it measured, by the measures' names. */
  readonly measures?: Readonly<Record<string, number>> | undefined;
  /** The same in words, where a kind of source has such. */
  readonly summary?: string | undefined;
}

export interface SourceReport extends SourceStatus {
  readonly guard?: GuardStatus | undefined;
}

/** An automation as it is now, and its counts since the process started. */
export interface AutomationReport extends Omit<AutomationStatus, "held">, Readonly<AutomationCounts> {}

/** What is received over HTTP; its receivers with their counts since the process started. */
export interface IngressReport {
  /** Undefined until it listens. */
  readonly url: string | undefined;
  readonly receivers: readonly ({ readonly name: string; readonly provider: string } & Readonly<IngressCounts>)[];
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
  readonly automations: readonly AutomationReport[];
  /** What `send()` reaches; absent where there is none. */
  readonly endpoints?: readonly EndpointStatus[];
  /** Absent where nothing is received. */
  readonly ingress?: IngressReport | undefined;
}

/** One line of /readyz. */
export interface Readiness {
  readonly kind: "bus" | "source" | "automation" | "ingress" | "endpoint";
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
