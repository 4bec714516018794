// Which parts of the worker get on, and by name why one does not.

import type { AutomationStatus, Readiness, Reason, Report, SourceStatus, Status } from "./status.ts";

/** Longer than a bus that changes its leader takes. */
const STALLED_MS = 15_000;
/** The part of its timeout after which a handler counts as stuck: of the default of 30 s, 20 s. */
const STUCK_SHARE = 2 / 3;
/** As long as the alert MillraceGap lasts. */
const GAP_SHOWN_MS = 60 * 60_000;
/** Beyond twice the bus's sync interval, for pings and saves. */
const FSYNC_SLACK_MS = 30_000;

/** Which parts are ready. A source that another worker reads is: this worker stands by for it. */
export function withReadiness(report: Report): Status {
  const { connected } = report.bus;
  const parts: readonly Readiness[] = [
    connected
      ? { kind: "bus", id: "nats", ready: true, reason: "connected" }
      : { kind: "bus", id: "nats", ready: false, code: "BUS_DISCONNECTED", reason: "not connected" },
    ...report.sources.map((source) => part("source", source.id, sourceView(source, report))),
    ...report.automations.map((automation) => part("automation", automation.id, automationView(automation))),
  ];
  return { ...report, ready: parts.every(({ ready }) => ready), parts };
}

interface View extends Partial<Reason> {
  readonly ready: boolean;
  /** What comes before the reason. */
  readonly state: string;
}

function part(kind: Readiness["kind"], id: string, { ready, state, code, message }: View): Readiness {
  if (code === undefined) return { kind, id, ready, reason: state };
  return { kind, id, ready, code, reason: `${state}: ${code}: ${message}` };
}

function sourceView(source: SourceStatus, { bus }: Report): View {
  const { state, reason } = source;
  if (state === "waiting-for-lease") return { ready: true, state, ...reason };
  if (state !== "running") return { ready: false, state, ...reason };
  return (
    stalled(source, bus.connected) ??
    held(source, bus.fsync) ??
    gap(source) ?? { ready: true, state, ...source.notices[0] }
  );
}

function stalled({ state, stalledMs, stalledBy, unsavedMs }: SourceStatus, connected: boolean): View | undefined {
  if (stalledMs > STALLED_MS) {
    const why = connected ? stalledBy : { code: "BUS_DISCONNECTED", message: "the bus is not connected" };
    const code = why?.code ?? "BUS_STALLED";
    const because = why ? `${why.message}; ` : "";
    return { ready: false, state, code, message: `${because}nothing could be stored for ${seconds(stalledMs)}` };
  }
  if (unsavedMs <= STALLED_MS) return undefined;
  const message = `the bus has taken no checkpoint for ${seconds(unsavedMs)}: the database cannot drop its log`;
  return { ready: false, state, code: "CHECKPOINT_UNSAVED", message };
}

/** No fault within the time that the bus may take, but what an operator who looks at the slot's lag asks for. */
function held({ state, heldForFsync }: SourceStatus, fsync: "always" | number): View | undefined {
  const { marks, oldestMs } = heldForFsync;
  if (marks === 0 || oldestMs < FSYNC_SLACK_MS) return undefined;
  const ready = oldestMs < (fsync === "always" ? 0 : 2 * fsync) + FSYNC_SLACK_MS;
  const message = `for ${seconds(oldestMs)} what is stored waits for the bus's fsync`;
  return { ready, state, code: ready ? "FSYNC_WAITING" : "FSYNC_OVERDUE", message };
}

/** Nothing can mend it: it is said for as long as somebody may not have seen it. */
function gap({ state, gap: newest }: SourceStatus): View | undefined {
  if (newest === undefined || newest.agoMs > GAP_SHOWN_MS) return undefined;
  const from = newest.after === null ? "before" : `between ${newest.after} and`;
  const message = `it went on behind a gap ${seconds(newest.agoMs)} ago: events ${from} ${newest.upTo} can never come`;
  return { ready: true, state, code: "GAP_RECORDED", message };
}

function automationView(automation: AutomationStatus): View {
  const { state, reason, hanging, runningMs, timeoutMs, settlingMs, gap: missed } = automation;
  if (state !== "running") return { ready: false, state, ...reason };
  if (hanging > 0) {
    const message = `handlers that have ignored their timeout and still run: ${hanging}`;
    return { ready: false, state, code: "HANDLER_STUCK", message };
  }
  if (runningMs > timeoutMs * STUCK_SHARE) {
    const message = `a handler has run for ${seconds(runningMs)}, and may for ${seconds(timeoutMs)}`;
    return { ready: false, state, code: "HANDLER_STUCK", message };
  }
  if (settlingMs > STALLED_MS) {
    const message = `for ${seconds(settlingMs)} the bus has not taken the outcome of an event`;
    return { ready: false, state, code: "OUTCOME_UNSETTLED", message };
  }
  if (missed === undefined || missed.agoMs > GAP_SHOWN_MS) return { ready: true, state };
  const { source, first, last, agoMs } = missed;
  const message = `it went on ${seconds(agoMs)} ago behind messages ${first} to ${last} of ${source}, which it never got`;
  return { ready: true, state, code: "GAP_RECORDED", message };
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
