// What is said of an automation as it is now: its state, and what keeps it from the events that wait.

import type { Obstacle, StreamGap } from "../../bus/subscription.ts";
import { MillraceError } from "../../errors.ts";
import type { Asked } from "../../event/control.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Reason } from "../../telemetry/reason.ts";
import type { Automation } from "../define/automation.ts";
import { isRetry } from "../outcome/outcome.ts";

export type AutomationState = "starting" | "waiting" | "running" | "paused" | "retrying" | "failed" | "stopped";

/** An automation as it is now. */
export interface AutomationStatus {
  readonly id: string;
  /** It does nothing, and records what it would have done. */
  readonly shadow?: true;
  /**
   * `starting` until it listens to all of its streams, `waiting` once the bus has said that one of them does not exist yet,
   * `retrying` while the bus is away, or what handlers need; `failed` needs a person.
   */
  readonly state: AutomationState;
  readonly reason?: Reason & { readonly hint?: string | undefined };
  /** Handlers that run now, and those of them that have ignored their timeout; each holds a place of `concurrency`. */
  readonly running: number;
  readonly hanging: number;
  /** For how long the oldest of the others has run, and how long it may. */
  readonly runningMs: number;
  readonly timeoutMs: number;
  /** Events in hand. */
  readonly held: number;
  /** Of one with `order: "key"`: keys that stand still until a person says what to do, since when, and events put aside. */
  readonly keys?: { readonly blocked: number; readonly oldestBlockedMs: number; readonly parked: number };
  /** For how long the oldest outcome could not be told to the bus. */
  readonly settlingMs: number;
  /** What keeps it from what waits, though nothing of it is broken. */
  readonly obstacle?: Obstacle;
  /** Who paused it, and when. */
  readonly paused?: Asked;
  /** Of one with a schedule, when it is due next, RFC 3339. */
  readonly nextDue?: string;
  /** The newest gap that it went on behind since it was started, and how long ago that was. */
  readonly gap?: StreamGap & { readonly source: SourceId; readonly agoMs: number };
}

/** Events that wait for an automation. */
export interface Depth {
  /** Not yet handed out. */
  readonly pending: number;
  /** Handed out, and not settled. */
  readonly unacked: number;
  /** In MILLRACE_RETRY: for a long retry, or as part of a replay. */
  readonly later: number;
}
export const NOTHING: Depth = { pending: 0, unacked: 0, later: 0 };

/** What is said of it while the worker waits for the bus. */
export function waitingStatus(automation: Automation): AutomationStatus {
  const reason = { code: "BUS_DISCONNECTED", message: "it begins once the bus is there" };
  const { timeoutMs } = automation;
  const none = { running: 0, hanging: 0, runningMs: 0, held: 0, settlingMs: 0 };
  return { ...named(automation), state: "starting", reason, ...none, timeoutMs };
}

/** By what it is told from the others, and whether it is only in shadow. */
export function named({ id, shadow }: Automation): Pick<AutomationStatus, "id" | "shadow"> {
  return { id, ...(shadow && { shadow }) };
}

/** Why an automation is in its state. @param error whatever ended or delays it: one that is not ours is a bug */
export function stateReason(error: Error): NonNullable<AutomationStatus["reason"]> {
  return {
    code: error instanceof MillraceError || isRetry(error) ? error.code : "BUG",
    message: error.message,
    hint: error instanceof MillraceError ? error.hint : undefined,
  };
}

/** As long as nobody asks why no handler starts. */
const ALONE_MS = 30_000;

/** Behind an endpoint that is paused. */
export function waitsForEndpoint(why: string | undefined): readonly Obstacle[] {
  return why === undefined ? [] : [{ code: "AUTOMATION_ENDPOINT_PAUSED", message: why }];
}

/** All automations of the process wait then. */
export function waitsAlone(waitingMs: number): readonly Obstacle[] {
  if (waitingMs < ALONE_MS) return [];
  const message = `for ${Math.round(waitingMs / 1000)} s no handler of this worker starts: an event that may have ended the process is tried alone, and waits for those that run, or they for it`;
  return [{ code: "AUTOMATION_WAITS_ALONE", message }];
}
