// `millrace log`: what became of an event in every automation, along its correlation id; or the newest records of an automation.

import type { Automation } from "../../automation/define/automation.ts";
import { type LoggedEvent, type LoggedRecord, openEventLog } from "../../bus/jetstream/commands/read-event-log.ts";
import { resolveBusConfig, resolveConfig } from "../../config/resolve.ts";
import { connectors } from "../../connectors.ts";
import { ConfigError } from "../../errors.ts";
import { parseDuration } from "../../event/duration.ts";
import type { SourceId } from "../../event/source-id.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";
import { type Paint, paint, printable } from "../common/terminal.ts";

/** What an event can end in, and what may come before that. */
const OUTCOMES: readonly string[] = ["done", "skipped", "filtered", "retried", "dead", "shadow"];
const DEFAULT_LAST = 50;

export interface LogCommandOptions extends CommandOptions {
  /** An automation's id, an event's, or `<stream>:<sequence>`. */
  readonly what: string;
  readonly outcome?: readonly string[] | undefined;
  /** A duration back from now, or a time. */
  readonly since?: string | undefined;
  /** So many records at most. */
  readonly last?: number | undefined;
  readonly json: boolean;
}

/** @throws ConfigError EVENT_UNKNOWN, CLI_USAGE; TransientError */
export async function log({
  config,
  what,
  outcome,
  since,
  last,
  json,
  signal,
  print,
}: LogCommandOptions): Promise<void> {
  const from = since === undefined ? undefined : sinceOf(since);
  refuseOthers(outcome);
  const file = await readConfig(config, true);
  const { automations = [] } = file as { readonly automations?: readonly Automation[] };
  const sources = [...resolveConfig(file, connectors).sources.keys()] as SourceId[];
  await using reader = await openEventLog(resolveBusConfig(file).access.reveal(), sources, signal);
  const query = { automation: what, outcomes: outcome, since: from, last: last ?? DEFAULT_LAST };
  // One that is no more in the code may have records still.
  const records = /^[\w-]+$/.test(what) ? await reader.ofAutomation(query) : [];
  if (records.length > 0 || automations.some(({ id }) => id === what)) {
    if (json) return print(JSON.stringify({ automation: what, records: records.map(withoutAutomation) }));
    if (records.length === 0)
      return print(
        outcome === undefined && since === undefined
          ? `nothing is on record of ${what}: it was given no event that the event log still has`
          : `${what} has no such record: see the outcomes and the time that were asked for`,
      );
    for (const record of records) await print(outcomeLine(record, placeOf(record), paint(process.stdout)));
    return;
  }
  const events = await reader.ofEvent(what);
  if (events === undefined) {
    throw new ConfigError(
      "EVENT_UNKNOWN",
      `${what} is no automation, no stream holds an event of that id, and none is on record`,
      {
        hint: "give an automation's id, the ce-id of an event, or its place: CDC_SHOP:1042; by its place an event is found also when it has left its stream",
      },
    );
  }
  if (json) return print(JSON.stringify({ events: events.map(reportOf) }));
  for (const line of eventLines(events, paint(process.stdout))) await print(line);
}

function withoutAutomation({ automation, ...record }: LoggedRecord): Omit<LoggedRecord, "automation"> {
  return record;
}

/** Of a record only what is not the event's own. */
function reportOf({ outcomes, time, causationId, ...event }: LoggedEvent): Readonly<Record<string, unknown>> {
  return {
    ...event,
    time: time ?? null,
    causationId: causationId ?? null,
    outcomes: outcomes.map(
      ({
        automation,
        outcome,
        time: at,
        worker,
        run,
        attempt,
        would,
        effects,
        more,
        reason,
        error,
        delayMs,
        durationMs,
      }) => ({
        automation,
        outcome,
        time: at,
        worker,
        run,
        attempt,
        would,
        effects,
        more,
        reason,
        error,
        delayMs,
        durationMs,
      }),
    ),
  };
}

function eventLines(events: readonly LoggedEvent[], painted: Paint): readonly string[] {
  return events.flatMap(({ stream, sequence, id, type, time, causationId, left, outcomes }, nth) => [
    ...(nth === 0 ? [] : [""]),
    painted("bold", printable(`${type || "an event"}  ${stream} #${sequence}`)),
    ...(left ? ["  it has left its stream; what is on record of it:"] : []),
    printable(`  ${id}${time === undefined ? "" : `  ${time}`}`),
    ...(causationId === undefined ? [] : [printable(`  caused by ${causationId}`)]),
    ...(outcomes.length === 0 ? [painted("dim", "  nothing is on record of it")] : []),
    ...outcomes.map((record) => outcomeLine(record, record.automation, painted)),
  ]);
}

function placeOf({ stream, sequence, ranges = [], count = 0 }: LoggedRecord): string {
  if (sequence !== undefined) return `${stream} #${sequence}`;
  const [first, last] = [ranges[0]?.[0] ?? 0, ranges.at(-1)?.[1] ?? 0];
  return count === 1 ? `${stream} #${first}` : `${stream} #${first} to #${last}: ${count}`;
}

const colours: Readonly<Record<string, "green" | "yellow" | "red">> = { done: "green", retried: "yellow", dead: "red" };
const COLUMNS = 100;

/** @param about whose outcome it is, or of what */
function outcomeLine(record: LoggedRecord, about: string, painted: Paint): string {
  const { outcome, time, attempt, would, reason, error, delayMs, run, worker } = record;
  const more = [
    run === undefined ? "" : `run ${run}`,
    attempt ? `attempt ${attempt}` : "",
    would === undefined ? "" : `would be ${would}`,
    ...effectsOf(record),
    error === undefined ? "" : (error.code ?? error.name),
    delayMs === undefined ? "" : `next in ${delayMs} ms`,
    reason ?? "",
    `by ${worker}`,
  ].filter((part) => part !== "");
  const head = printable(`  ${time}  `);
  const tail = printable(`${about.padEnd(20)}  ${more.join(", ")}`);
  const room = COLUMNS - head.length - 10;
  const colour = colours[outcome];
  const padded = printable(outcome.padEnd(8));
  const rest = tail.length <= room ? tail : `${tail.slice(0, room - 1)}…`;
  return `${head}${colour === undefined ? padded : painted(colour, padded)}  ${rest}`;
}

/** What an automation in shadow would have done. */
function effectsOf({ effects = [], more = 0 }: LoggedRecord): readonly string[] {
  const said = effects.map(({ kind, type, to, count }) =>
    [kind, ...(type === undefined ? [] : [type]), ...(to === undefined ? [] : [`to ${to}`]), `x${count}`].join(" "),
  );
  return more === 0 ? said : [...said, `and ${more} more`];
}

/** @throws ConfigError CLI_USAGE */
function refuseOthers(outcomes: readonly string[] | undefined): void {
  const other = outcomes?.find((outcome) => !OUTCOMES.includes(outcome));
  if (other === undefined) return;
  throw new ConfigError("CLI_USAGE", `${other} is no outcome`, { hint: `there are ${OUTCOMES.join(", ")}` });
}

/** @throws ConfigError CLI_USAGE */
function sinceOf(text: string): Date {
  const ms = parseDuration(text);
  const time = ms === undefined ? new Date(text) : new Date(Date.now() - ms);
  if (!Number.isNaN(time.getTime())) return time;
  throw new ConfigError("CLI_USAGE", `--since ${text} is neither a duration nor a time`, {
    hint: "write 30m, 24h, or a time like 2026-01-31T12:00:00Z",
  });
}
