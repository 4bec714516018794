// `millrace automations`: shows how automations stand on the bus, pauses them, lets them go on, and moves them.

import type { Automation } from "../../automation/define/automation.ts";
import type { AutomationOnBus } from "../../bus/jetstream/commands/automations-on-bus.ts";
import {
  type AutomationSteering,
  openAutomationSteering,
  type SeekTarget,
  type Steered,
} from "../../bus/jetstream/commands/steer-automation.ts";
import { resolveBusConfig, resolveConfig } from "../../config/resolve.ts";
import { connectors, triggerConfigOf } from "../../connectors.ts";
import { ConfigError } from "../../errors.ts";
import { parseTime } from "../../event/point-in-time.ts";
import type { SourceId } from "../../event/source-id.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";
import { asker, namedAutomation, sourcesOf } from "../common/named-automation.ts";
import { type Paint, paint, printable, row, wrap } from "../common/terminal.ts";

/** `automations list`. @throws ConfigError, TransientError */
export async function listAutomations({
  json,
  ...options
}: CommandOptions & { readonly json: boolean }): Promise<void> {
  const { steering, automations } = await opened(options);
  await using _ = steering;
  const found = await steering.list(automations.map(({ id }) => id));
  const listed = found.map((one) => {
    const { shadow = false, schedule } = automations.find(({ id }) => id === one.id) ?? {};
    const next = schedule?.timetable.next(Date.now());
    return { ...one, shadow, ...(next !== undefined && { nextDue: new Date(next).toISOString() }) };
  });
  if (json) return options.print(JSON.stringify(listed.map(reportOf)));
  for (const line of tableOf(listed, paint(process.stdout))) await options.print(line);
}

export interface SteerOptions extends CommandOptions {
  readonly id: string;
}

/** `automations pause`. @throws ConfigError AUTOMATION_UNKNOWN, TransientError */
export async function pauseAutomation({ id, ...options }: SteerOptions): Promise<void> {
  const { steering, automations } = await opened(options);
  await using _ = steering;
  namedAutomation(automations, id);
  const { already, running, control } = await steering.pause(id, asker());
  const since = already ? `; ${control.paused?.by} did it at ${control.paused?.at}` : "";
  await options.print(
    running || already
      ? `${id} is paused${since}: no handler begins, and what ran ends as it would`
      : `${id} is paused${since}; no worker takes its events now, and one that starts begins nothing`,
  );
}

/** `automations resume`. @throws ConfigError AUTOMATION_UNKNOWN, TransientError */
export async function resumeAutomation({ id, ...options }: SteerOptions): Promise<void> {
  const { steering, automations } = await opened(options);
  await using _ = steering;
  namedAutomation(automations, id);
  const { already, running } = await steering.resume(id);
  await options.print(
    running
      ? `${id} ${already ? "was not paused: it runs" : "goes on"}`
      : `${id} is ${already ? "not" : "no longer"} paused; ${NOBODY}`,
  );
}

export interface SeekOptions extends SteerOptions {
  /** `earliest`, `now`, a time, or a sequence. */
  readonly to: string;
}

/** `automations seek`. @throws ConfigError AUTOMATION_UNKNOWN, SEEK_TARGET; TransientError */
export async function seekAutomation({ id, to, ...options }: SeekOptions): Promise<void> {
  const target = targetOf(to);
  const file = await readConfig(options.config, true);
  const automation = namedAutomation(automationsOf(file), id);
  const sources = sourcesOf(automation, triggerConfigOf(resolveConfig(file, connectors)));
  if (typeof target === "number") refuseSeveral(id, target, sources);
  const { steering } = await opened(options, file);
  await using _ = steering;
  const done = await steering.seek(id, target, sources, asker());
  for (const line of seekLines(id, done)) await options.print(line);
}

/** Of a worker that runs and one that does not, the bus knows no difference where the automation has failed. */
const NOBODY = "no worker takes its events now: start one (millrace run), or see why it does not (millrace status)";

function seekLines(id: string, { running, control: { paused, seek } }: Steered): readonly string[] {
  const places = Object.entries(seek?.starts ?? {}).map(([stream, start]) => `  ${stream} from #${start}`);
  const skipped = Object.entries(seek?.skipped ?? {}).map(
    ([stream, [first, last]]) => `  skipped of ${stream}: what was not settled of #${first} to #${last}`,
  );
  const waits = paused ? "once it is resumed" : NOBODY;
  return [`${id} goes on at ${seek?.to}${running ? "" : `, ${waits}`}`, ...places, ...skipped];
}

/** @throws ConfigError SEEK_TARGET */
function targetOf(to: string): SeekTarget {
  if (to === "earliest" || to === "now") return to;
  if (/^[1-9]\d*$/.test(to) && Number.isSafeInteger(Number(to))) return Number(to);
  const time = parseTime(to);
  if (time !== undefined) {
    if (time.getTime() <= Date.now()) return time;
    throw new ConfigError("SEEK_TARGET", `${to} is not over yet`, { hint: "write now, or a time that was" });
  }
  throw new ConfigError("SEEK_TARGET", `${to} is no place to go on at`, {
    hint: "write earliest, now, a time like 2026-01-31T12:00:00Z, or the sequence of a message",
  });
}

/** A number says nothing of two streams. @throws ConfigError SEEK_TARGET */
function refuseSeveral(id: string, sequence: number, sources: readonly SourceId[]): void {
  if (sources.length === 1) return;
  throw new ConfigError("SEEK_TARGET", `${id} listens to ${sources.length} streams, and #${sequence} is of one`, {
    hint: "write earliest, now, or a time",
  });
}

function automationsOf(file: unknown): readonly Automation[] {
  const { automations = [] } = file as { readonly automations?: readonly Automation[] };
  return automations;
}

interface Opened {
  readonly steering: AutomationSteering;
  readonly automations: readonly Automation[];
}

async function opened({ config, signal }: CommandOptions, read?: unknown): Promise<Opened> {
  const file = read ?? (await readConfig(config, true));
  const { access, replicas } = resolveBusConfig(file);
  const steering = await openAutomationSteering({ ...access.reveal(), replicas, signal });
  return { steering, automations: automationsOf(file) };
}

type Listed = AutomationOnBus & { readonly shadow: boolean; readonly nextDue?: string };

/** As `--json` has it. */
function reportOf({ durables, ...automation }: Listed) {
  return {
    ...automation,
    durables: durables.map(({ stream, durable, pending, unacked }) => ({ stream, durable, pending, unacked })),
  };
}

const WIDTHS: readonly number[] = [44, 9, 10, 9, 9, 8];

/** Within 100 columns. */
function tableOf(automations: readonly Listed[], colour: Paint): readonly string[] {
  if (automations.length === 0) return ["there is no automation"];
  const heads = ["AUTOMATION", "STATE", "PENDING", "UNSETTLED", "WAITING", "DEAD"];
  return [
    colour("dim", row(WIDTHS, heads)),
    ...automations.flatMap((automation) => {
      const { id, state, pending, unacked, waiting, dead } = automation;
      const line = row(WIDTHS, [id, state, pending, unacked, waiting, dead]);
      return [colour(COLOURS[state], line), ...notesOf(automation).flatMap((note) => indented(note))];
    }),
  ];
}

const COLOURS = { running: "green", paused: "yellow", stopped: "red", new: "dim", orphaned: "yellow" } as const;

function indented(note: string): readonly string[] {
  return wrap(printable(note), 96).map((text) => `    ${text}`);
}

function notesOf({ id, state, paused, waiting, dead, durables, shadow, nextDue }: Listed): readonly string[] {
  const kept = durables.map(({ stream, durable }) => `nats consumer rm ${stream} ${durable}`);
  const forget = kept.length === 0 ? "" : "; to forget where it stood:";
  return [
    ...(shadow ? ["in shadow: it does nothing, and `millrace log` says what it would have done"] : []),
    ...(nextDue === undefined ? [] : [`its schedule is due next at ${nextDue}`]),
    ...(paused === null ? [] : [`${paused.by} paused it at ${paused.at}; what comes meanwhile waits`]),
    ...(state === "orphaned"
      ? [
          `the configuration has no automation of this id${forget}`,
          ...kept,
          ...(waiting > 0 ? ["`millrace check` says what becomes of what waits for it"] : []),
          ...(dead > 0 ? [`its dead letters: millrace dead list ${id}`] : []),
        ]
      : []),
  ];
}
