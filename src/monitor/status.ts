// What the worker says of itself, and what of it is stuck.

import type { Position } from "../event/position.ts";

/** Why something does not run; never row data. */
export interface Reason {
  readonly code: string;
  readonly message: string;
}

export interface SourceStatus {
  readonly id: string;
  readonly kind: string;
  readonly state: "starting" | "waiting-for-lease" | "running" | "retrying" | "stopped";
  readonly reason?: Reason | undefined;
  /** The newest position that was acknowledged to the database. */
  readonly position?: Position | undefined;
  /** Bytes of the database's log beyond what was acknowledged, asked every ten seconds; undefined while it cannot be had. */
  readonly unconfirmedBytes?: number | undefined;
  /** The lease number that its writer writes. */
  readonly lease?: number | undefined;
  /** Stored on the bus, not yet synced to its disks. */
  readonly heldForFsync: { readonly marks: number; readonly oldestMs: number };
  /** For how long nothing could be stored though something waited. */
  readonly stalledMs: number;
  /** What went wrong last, while that is so. */
  readonly stalledBy?: string | undefined;
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
  readonly retried: number;
  readonly dead: number;
  readonly running: number;
}

/** The body of /api/status. */
export interface Status {
  readonly version: string;
  readonly startedAt: string;
  readonly bus: { readonly connected: boolean };
  readonly sources: readonly SourceStatus[];
  readonly automations: readonly AutomationStatus[];
}

/** One line of /readyz. */
export interface Readiness {
  readonly kind: "bus" | "source" | "automation";
  readonly id: string;
  readonly ready: boolean;
  readonly reason: string;
}

/** Longer than a bus that changes its leader takes. */
const STALLED_MS = 30_000;

/** Which parts are ready. A source that another worker reads is: this worker stands by for it. */
export function readinessOf(status: Status): readonly Readiness[] {
  return [
    {
      kind: "bus",
      id: "nats",
      ready: status.bus.connected,
      reason: status.bus.connected ? "connected" : "not connected",
    },
    ...status.sources.map((source): Readiness => {
      const stalled = source.stalledMs > STALLED_MS;
      const ready = (source.state === "running" && !stalled) || source.state === "waiting-for-lease";
      const reason = stalled ? stalledReason(source, status.bus.connected) : why(source) + heldReason(source);
      return { kind: "source", id: source.id, ready, reason };
    }),
    ...status.automations.map((automation): Readiness => {
      return { kind: "automation", id: automation.id, ready: automation.state === "running", reason: why(automation) };
    }),
  ];
}

function stalledReason({ stalledMs, stalledBy }: SourceStatus, connected: boolean): string {
  const away = connected ? "" : "the bus is not connected: ";
  const by = stalledBy === undefined ? "" : `: ${stalledBy}`;
  return `${away}nothing could be stored for ${Math.round(stalledMs / 1000)} s${by}`;
}

/** No fault, but what an operator who looks at the slot's lag asks for. */
function heldReason({ heldForFsync: { marks, oldestMs } }: SourceStatus): string {
  return marks === 0 || oldestMs < STALLED_MS
    ? ""
    : `; for ${Math.round(oldestMs / 1000)} s what is stored waits for the bus's fsync`;
}

function why({ state, reason }: { readonly state: string; readonly reason?: Reason | undefined }): string {
  return reason === undefined ? state : `${state}: ${reason.code}: ${reason.message}`;
}
