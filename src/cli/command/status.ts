// `millrace status`: what the running worker says of itself over its HTTP port.

import { isOpen } from "../../backfill/standing.ts";
import { realClock } from "../../clock.ts";
import { TransientError } from "../../errors.ts";
import { bytes, duration, preciseSeconds } from "../../telemetry/quantities.ts";
import type { CommandOptions } from "../common/load-config.ts";
import { runningWorker, type Status } from "../common/running-worker.ts";
import { alarmLines, type Paint, paint, printable, row, wrap } from "../common/terminal.ts";

export interface StatusOptions extends CommandOptions {
  readonly watch: boolean;
  readonly json: boolean;
}

type Part = Status["parts"][number];

const LOOK_EVERY_MS = 2000;

/** @throws TransientError STATUS_UNREACHABLE unless it watches; ConfigError STATUS_REFUSED, and what is wrong with the file */
export async function status({ config: file, watch, json, signal, print }: StatusOptions): Promise<void> {
  const ask = await runningWorker(file);
  const redraw = watch && !json && process.stdout.isTTY === true;
  for (;;) {
    const now = await ask().catch((error: unknown) => {
      if (watch && error instanceof TransientError) return error; // it may come back: a worker is started again
      throw error;
    });
    if (redraw) await print("\u001b[2J\u001b[H");
    for (const line of now instanceof TransientError ? awayLines(now, json) : lines(now, json)) await print(line);
    if (!watch || signal.aborted) return;
    await realClock.sleep(LOOK_EVERY_MS, signal); // asked to end
    if (signal.aborted) return;
  }
}

function lines(now: Status, json: boolean): readonly string[] {
  return json ? [JSON.stringify(now)] : statusLines(now, paint(process.stdout));
}

function awayLines({ code, message }: TransientError, json: boolean): readonly string[] {
  if (json) return [JSON.stringify({ unanswered: { code, message } })];
  return wrap(printable(`${code}: ${message}`), 98).map((line) => paint(process.stdout)("red", line));
}

/** Within 100 columns. */
function statusLines(status: Status, colour: Paint): readonly string[] {
  const { bus, sources, automations, parts, version, startedAt } = status;
  const partOf = (kind: string, id: string): Part | undefined =>
    parts.find((part) => part.kind === kind && part.id === id);
  const up = duration((Date.now() - Date.parse(startedAt)) / 1000);
  const connected = bus.connected ? colour("green", "connected") : colour("red", "not connected");
  const lines = [`millrace ${version}, up for ${up}, bus ${connected}`];
  if (sources.length > 0) {
    lines.push("", colour("dim", row(SOURCE, HEADS)));
  }
  for (const source of sources) {
    const part = partOf("source", source.id);
    const { published, unsentBytes, unconfirmedBytes, lagSeconds, heartbeatSeconds, heldForFsync, poison } = source;
    const cells = [
      source.id,
      source.state,
      published,
      bytes(unsentBytes ?? null),
      bytes(unconfirmedBytes ?? null),
      preciseSeconds(lagSeconds ?? null),
      preciseSeconds(heartbeatSeconds ?? null),
      heldForFsync.marks === 0 ? "-" : duration(heldForFsync.oldestMs / 1000),
      poison,
    ];
    lines.push(colour(part?.ready ? "green" : "red", row(SOURCE, cells)), ...reason(part), ...notes(source));
  }
  if (automations.length > 0) {
    lines.push("", colour("dim", row(AUTOMATION, ["AUTOMATION", "STATE", "HANDLED", "RUNNING", "RETRIED", "DEAD"])));
  }
  for (const automation of automations) {
    const { id, state, handled, running, retried, dead, deadBy = {}, shadow, shadowBy = {} } = automation;
    const cells = row(AUTOMATION, [id, state, handled, running, retried, dead]);
    const part = partOf("automation", id);
    lines.push(colour(part?.ready ? "green" : "red", cells), ...reason(part));
    const reasons = Object.entries(deadBy).map(([name, count]) => `${name} ${count}`);
    const shadowed = Object.entries(shadowBy).map(([name, count]) => `${name || "ended well"} ${count}`);
    if (shadow) lines.push(`    in shadow, it does nothing: ${printable(shadowed.join(", ") || "no event yet")}`);
    if (reasons.length > 0) lines.push(`    dead letters: ${printable(reasons.join(", "))}`);
  }
  if (status.ingress !== undefined) lines.push(...ingressLines(status.ingress, partOf("ingress", "http"), colour));
  lines.push(...endpointLines(status.endpoints ?? [], (id) => partOf("endpoint", id), colour));
  return lines;
}

function ingressLines(
  { receivers }: NonNullable<Status["ingress"]>,
  part: Part | undefined,
  colour: Paint,
): readonly string[] {
  const heads = ["RECEIVER", "PROVIDER", "ACCEPTED", "DUPLICATE", "REFUSED"];
  const rows = receivers.flatMap(({ name, provider, accepted, duplicate, refused }) => {
    const reasons = Object.entries(refused).map(([reason, count]) => `${reason} ${count}`);
    const sum = Object.values(refused).reduce((all, count) => all + count, 0);
    const cells = colour(part?.ready ? "green" : "red", row(RECEIVER, [name, provider, accepted, duplicate, sum]));
    return reasons.length > 0 ? [cells, `    refused: ${printable(reasons.join(", "))}`] : [cells];
  });
  return ["", colour("dim", row(RECEIVER, heads)), ...rows, ...reason(part)];
}

const RECEIVER: readonly number[] = [32, 14, 12, 12, 12];
function endpointLines(
  endpoints: NonNullable<Status["endpoints"]>,
  partOf: (id: string) => Part | undefined,
  colour: Paint,
): readonly string[] {
  if (endpoints.length === 0) return [];
  const rows = endpoints.flatMap(({ id, kind, state }) => {
    const part = partOf(id);
    const cells = row(ENDPOINT, [id, kind, state]);
    return [colour(part?.code === undefined ? "green" : "red", cells), ...reason(part)];
  });
  return ["", colour("dim", row(ENDPOINT, ["ENDPOINT", "KIND", "STATE"])), ...rows];
}

const ENDPOINT: readonly number[] = [44, 10, 10];
const SOURCE: readonly number[] = [19, 17, 10, 8, 11, 7, 9, 7, 4];
const HEADS: readonly string[] = "SOURCE STATE PUBLISHED UNSENT UNCONFIRMED LAG HEARTBEAT WAITING DEAD".split(" ");
const AUTOMATION: readonly number[] = [44, 10, 12, 8, 9, 8];

/** What a source's kind says in words, and what its events lacked. */
function notes(source: Status["sources"][number]): readonly string[] {
  const { guard, summary, lookupsEmpty = 0, imagesMissing = 0, backfill } = source;
  const lacked = [
    ...(lookupsEmpty > 0 ? [`${lookupsEmpty} documents were gone when they were looked up`] : []),
    ...(imagesMissing > 0 ? [`${imagesMissing} images were asked for and not stored`] : []),
  ];
  return [
    ...[summary, guard?.summary].filter((line) => line !== undefined),
    ...(lacked.length > 0 ? [lacked.join(", ")] : []),
    ...(backfill === undefined || !isOpen(backfill) ? [] : [copyNote(source.id, backfill)]),
  ]
    .flatMap((line) => wrap(printable(line), 96))
    .map((text) => `    ${text}`);
}

function copyNote(source: string, copy: NonNullable<Status["sources"][number]["backfill"]>): string {
  const { backfill, state, rows, estimatedRows, by, at } = copy;
  const of = estimatedRows === undefined ? "" : ` of about ${estimatedRows}`;
  const who = state === "paused" ? ` by ${by} at ${at}` : "";
  return `copy ${backfill}: ${state}${who}, ${rows}${of} rows: millrace backfill status ${source}`;
}

/** What /readyz says where there is more to say than the state. */
function reason(part: Part | undefined): string[] {
  if (part?.code === undefined) return [];
  const { reason: first, alarms = [] } = part;
  const others = alarmLines(alarms).filter((line) => !first.endsWith(line));
  return [first, ...others].flatMap((line) => wrap(printable(line), 96).map((text) => `    ${text}`));
}
