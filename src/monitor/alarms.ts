// What of a part is beyond its limit, in the words of /readyz and `millrace status`: for each alert rule that watches a
// source or an automation there is one, so that nobody is paged for what the worker itself does not show.

import type { Reason } from "../telemetry/reason.ts";
import type { AutomationReport, GuardStatus, SourceReport } from "./status.ts";

/** As long as the alerts MillraceGap, MillraceTableGap and MillraceAutomationGap last: nothing can mend a gap. */
const GAP_SHOWN_MS = 60 * 60_000;
/** As in the alert rules: docker/prometheus/alerts.yml. */
const FULL_SOON_SECONDS = 3600;
const LAGGING_SECONDS = 300;
const UNSTEADY_RECOVERIES = 5;

/** Of a source, the worst first; what makes it not ready is not among them. */
export function sourceAlarms(source: SourceReport): readonly Reason[] {
  const { guard, lagSeconds = 0, recentRecoveries = 0 } = source;
  return [
    ...(guard === undefined ? [] : guardAlarms(guard)),
    ...gapAlarm(source),
    ...tableGapAlarm(source),
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
export function automationAlarms({ gap }: AutomationReport): readonly Reason[] {
  if (gap === undefined || gap.agoMs > GAP_SHOWN_MS) return [];
  const { source, first, last, agoMs } = gap;
  const messages = `messages ${first} to ${last} of ${source}, which it never got`;
  return [{ code: "GAP_RECORDED", message: `it went on ${whole(agoMs / 1000)} s ago behind ${messages}` }];
}

function guardAlarms({ sees, exceeded, timeToFullSeconds }: GuardStatus): readonly Reason[] {
  const soon = timeToFullSeconds !== undefined && timeToFullSeconds < FULL_SOON_SECONDS;
  const said = exceeded.some(({ measure }) => measure === "timeToFullSeconds");
  return [
    ...exceeded.map(({ message }) => ({ code: "GUARD_EXCEEDED", message })),
    ...only(soon && !said, {
      code: "SLOT_FULL_SOON",
      message: `its slot is full in ${whole(timeToFullSeconds ?? 0)} s`,
    }),
    ...only(!sees, {
      code: "GUARD_BLIND",
      message: "the database does not answer its guard: nobody sees what the slot holds (docs/operations/guard.md)",
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

function only(is: boolean, alarm: Reason): readonly Reason[] {
  return is ? [alarm] : [];
}

function whole(seconds: number): number {
  return Math.round(seconds);
}
