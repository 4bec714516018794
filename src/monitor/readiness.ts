// Which parts of the worker get on, and by name why one does not.

import type { EndpointStatus } from "../egress/open-endpoints.ts";
import type { Reason } from "../telemetry/reason.ts";
import type {
  AutomationReport,
  GuardStatus,
  IngressReport,
  Readiness,
  Report,
  SourceReport,
  Status,
} from "./status.ts";

/** Longer than a bus that changes its leader takes. */
const STALLED_MS = 15_000;
/** The part of its timeout after which a handler counts as stuck: of the default of 30 s, 20 s. */
const STUCK_SHARE = 2 / 3;
/** Beyond twice the bus's sync interval and the pings before and behind it. */
const FSYNC_SLACK_MS = 30_000;
const PING_SHARE = 1 / 8;

/** Which parts are ready. A source that another worker reads is: this worker stands by for it. */
export function withReadiness(report: Report): Status {
  const { connected, trouble } = report.bus;
  const parts: readonly Readiness[] = [
    busPart(connected, trouble),
    ...report.sources.map((source) => part("source", source.id, sourceView(source, report), sourceAlarms(source))),
    ...report.automations.map((automation) =>
      part("automation", automation.id, automationView(automation), automationAlarms(automation)),
    ),
    ...(report.endpoints ?? []).map((endpoint) => part("endpoint", endpoint.id, endpointView(endpoint), [])),
    ...(report.ingress === undefined ? [] : [part("ingress", "http", ingressView(report.ingress), [])]),
  ];
  return { ...report, ready: parts.every(({ ready }) => ready), parts };
}

interface View extends Partial<Reason> {
  readonly ready: boolean;
  /** What comes before the reason. */
  readonly state: string;
}

function busPart(connected: boolean, trouble: Reason | undefined): Readiness {
  const bus = { kind: "bus", id: "nats" } as const;
  const state = connected ? "connected" : "not connected";
  if (trouble !== undefined)
    return { ...bus, ready: false, code: trouble.code, reason: `${state}: ${trouble.code}: ${trouble.message}` };
  if (!connected) return { ...bus, ready: false, code: "BUS_DISCONNECTED", reason: state };
  return { ...bus, ready: true, reason: state };
}

function part(kind: Readiness["kind"], id: string, view: View, found: readonly Reason[]): Readiness {
  const { ready, state } = view;
  const { code, message } = view.code === undefined ? { ...view, ...found[0] } : view;
  const alarms = found.length > 0 ? { alarms: found } : {};
  if (code === undefined) return { kind, id, ready, reason: state, ...alarms };
  return { kind, id, ready, code, reason: `${state}: ${code}: ${message}`, ...alarms };
}

function sourceView(source: SourceReport, { bus }: Report): View {
  const { state, reason } = source;
  if (state === "waiting-for-lease") return { ready: true, state, ...reason };
  if (state !== "running") return { ready: false, state, ...reason };
  const stuck = stalled(source, bus.connected) ?? overdue(source, bus.fsync);
  if (stuck !== undefined) return stuck;
  return { ready: true, state, ...(sourceAlarms(source)[0] ?? source.notices[0]) };
}

function stalled({ state, stalledMs, stalledBy, unsavedMs }: SourceReport, connected: boolean): View | undefined {
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

/** Waiting is what a bus that does not sync always is for; only longer than that is a fault. */
function overdue({ state, heldForFsync }: SourceReport, fsync: "always" | number): View | undefined {
  const { marks, oldestMs } = heldForFsync;
  const mayMs = fsync === "always" ? 0 : 2 * fsync * (1 + PING_SHARE);
  if (marks === 0 || oldestMs < mayMs + FSYNC_SLACK_MS) return undefined;
  const message = `for ${seconds(oldestMs)} what is stored waits for the bus's fsync, which may take ${seconds(mayMs)}`;
  return { ready: false, state, code: "FSYNC_OVERDUE", message };
}

function automationView(automation: AutomationReport): View {
  const { state, reason, hanging, runningMs, timeoutMs, settlingMs, obstacle } = automation;
  // Pausing is somebody's wish.
  if (state !== "running") return { ready: state === "paused", state, ...reason };
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
  // Pausing is somebody's wish; both end by themselves.
  const passing = [
    "AUTOMATION_PAUSED",
    "AUTOMATION_ENDPOINT_PAUSED",
    "AUTOMATION_WAITS_ALONE",
    "AUTOMATION_KEYS_BLOCKED",
  ];
  if (obstacle) return { ready: passing.includes(obstacle.code), state, ...obstacle };
  return { ready: true, state };
}

function ingressView({ url }: IngressReport): View {
  if (url !== undefined) return { ready: true, state: `listening on ${url}` };
  return { ready: false, state: "shut", code: "INGRESS_SHUT", message: "it does not listen yet, or no more" };
}

/** As many requests as it takes to pause it. */
const FAILING = 5;

/** Always ready: it is another's, and a worker that waits for it does what it can. */
function endpointView({ state, by, at, reason, failing }: EndpointStatus): View {
  const since = `since ${at}, by ${by}`;
  if (state === "paused" && reason === "failing")
    return {
      ready: true,
      state,
      code: "ENDPOINT_PAUSED",
      message: `it failed for long (${since}); one event a minute is tried`,
    };
  if (state === "paused") return { ready: true, state, code: "ENDPOINT_PAUSED", message: since };
  if (state === "disabled")
    return {
      ready: true,
      state,
      code: "ENDPOINT_DISABLED",
      message: `it answered 410 (${since}): its events become dead letters`,
    };
  if (failing === undefined || failing.count < FAILING) return { ready: true, state };
  const message = `its last ${failing.count} requests failed, for ${seconds(failing.forMs)}`;
  return { ready: true, state, code: "ENDPOINT_FAILING", message };
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

/** As long as the alerts MillraceGap, MillraceTableGap and MillraceAutomationGap last: nothing can mend a gap. */
const GAP_SHOWN_MS = 60 * 60_000;
/** As in the alert rules: docker/prometheus/alerts.yml. */
const LAGGING_SECONDS = 300;
const UNSTEADY_RECOVERIES = 5;

/** Of a source, the worst first; what makes it not ready is not among them. */
function sourceAlarms(source: SourceReport): readonly Reason[] {
  const { guard, lagSeconds = 0, recentRecoveries = 0 } = source;
  return [
    ...(guard === undefined ? [] : guardAlarms(guard)),
    ...gapAlarm(source),
    ...tableGapAlarm(source),
    ...copyAlarm(source),
    ...only(lagSeconds > LAGGING_SECONDS, {
      code: "SOURCE_LAGGING",
      message: `what it stores was committed ${whole(lagSeconds)} s ago, and there is more in the log`,
    }),
    ...only(recentRecoveries > UNSTEADY_RECOVERIES, {
      code: "BUS_UNSTEADY",
      message: `in the last 15 minutes its writer had to look up ${recentRecoveries} times where the stream ends`,
    }),
  ];
}

/** Of an automation. */
function automationAlarms({ gap }: AutomationReport): readonly Reason[] {
  if (gap === undefined || gap.agoMs > GAP_SHOWN_MS) return [];
  const { source, first, last, agoMs } = gap;
  const messages = `messages ${first} to ${last} of ${source}, which it never got`;
  return [{ code: "GAP_RECORDED", message: `it went on ${whole(agoMs / 1000)} s ago behind ${messages}` }];
}

function guardAlarms({ sees, exceeded, soon }: GuardStatus): readonly Reason[] {
  const said = exceeded.some(({ measure }) => measure === "timeToFullSeconds");
  return [
    ...exceeded.map(({ message }) => ({ code: "GUARD_EXCEEDED", message })),
    ...(soon === undefined || said ? [] : [soon]),
    ...only(!sees, {
      code: "GUARD_BLIND",
      message:
        "the database does not answer its guard: nobody sees what its log holds, or loses (docs/operations/guard.md)",
    }),
  ];
}

function gapAlarm({ gap }: SourceReport): readonly Reason[] {
  if (gap === undefined || gap.agoMs > GAP_SHOWN_MS) return [];
  const from = gap.after === null ? "before" : `between ${gap.after} and`;
  const ago = `it went on behind a gap ${whole(gap.agoMs / 1000)} s ago`;
  return [{ code: "GAP_RECORDED", message: `${ago}: events ${from} ${gap.upTo} can never come` }];
}

function tableGapAlarm({ tableGap }: SourceReport): readonly Reason[] {
  if (tableGap === undefined || tableGap.agoMs > GAP_SHOWN_MS) return [];
  const { code, collections, agoMs } = tableGap;
  const message = `${code} ${whole(agoMs / 1000)} s ago: rows of ${collections.join(", ")} came or went without an event (docs/connectors/postgres.md)`;
  return [{ code: "TABLE_GAP", message }];
}

/** As in the alert rules: docker/prometheus/alerts.yml. */
const COPY_IDLE_MS = 30 * 60_000;

/** Not of one that a person lets rest. */
function copyAlarm({ backfill }: SourceReport): readonly Reason[] {
  if (backfill === undefined) return [];
  const { backfill: nth, reason, idleMs = 0 } = backfill;
  if (reason !== undefined) {
    const message = `copy ${nth} waits: ${reason.code}: ${reason.message} (docs/backfill.md)`;
    return [{ code: "BACKFILL_WAITING", message }];
  }
  const message = `copy ${nth} has not got on for ${whole(idleMs / 1000)} s (docs/backfill.md)`;
  return only(idleMs > COPY_IDLE_MS, { code: "BACKFILL_IDLE", message });
}

function only(is: boolean, alarm: Reason): readonly Reason[] {
  return is ? [alarm] : [];
}

function whole(seconds: number): number {
  return Math.round(seconds);
}
