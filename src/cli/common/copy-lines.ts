// A copy in words: what is the case, how far it is, and what a person would type next.

import { askedNames } from "../../backfill/asked-collections.ts";
import { isOver } from "../../backfill/progress.ts";
import type { CopyStanding } from "../../backfill/standing.ts";
import { formatCollectionName } from "../../event/collection-name.ts";
import type { SourceId } from "../../event/source-id.ts";
import { duration } from "../../telemetry/quantities.ts";
import type { Pace } from "./copy-pace.ts";
import type { CopyLook } from "./copy-watch.ts";

const ALL = "all that the source reads";

/** For `backfill status`. */
export function copyLines(source: SourceId, look: CopyLook, pace: Pace): readonly string[] {
  const { copy, toldAt } = look;
  if (copy === undefined) return [`${source} was never copied: millrace backfill start ${source}`];
  const { order, progress } = copy;
  return [
    `copy ${copy.backfill} of ${source}: ${stateText(source, copy)}`,
    ...(order === undefined ? [] : [`  asked for: ${askedText(order)}`]),
    ...(progress === undefined ? [] : [`  ${farText(copy)}${paceText(pace)}`]),
    ...(progress === undefined || toldAt === undefined
      ? []
      : [`  since ${progress.startedAt}, last told at ${toldAt}`]),
    ...waitLines(source, look),
    ...leftOutLines(source, copy),
  ];
}

/** For one line that is drawn anew. */
export function copyBar(source: SourceId, look: CopyLook, pace: Pace): string {
  const { copy } = look;
  if (copy === undefined) return `${source} was never copied`;
  const share = shareOf(copy);
  const filled = Math.round(20 * (share ?? 0));
  const bar = share === undefined ? "" : `${"█".repeat(filled)}${"░".repeat(20 - filled)} `;
  const [waits] = waitLines(source, look);
  const state = copy.state === "copying" ? "" : `, ${copy.state}`;
  return `${bar}${farText(copy)}${paceText(pace)}${state}${waits === undefined ? "" : `: ${waits.trim()}`}`;
}

/** How the copy ended, for whoever followed it. */
export function endLines(source: SourceId, { copy }: CopyLook): readonly string[] {
  if (copy === undefined) return [`${source} has no copy any more`];
  return [
    `copy ${copy.backfill} of ${source} is ${stateText(source, copy)}: ${farText(copy)}`,
    ...leftOutLines(source, copy),
  ];
}

function stateText(source: SourceId, { state, order }: CopyStanding): string {
  const by = order === undefined ? "" : ` by ${order.by} at ${order.at}`;
  switch (state) {
    case "ordered":
      return "not begun";
    case "paused":
      return `paused${by}; it goes on with: millrace backfill resume ${source}`;
    case "cancelled":
      return `cancelled${by}; what was copied stays in the stream`;
    case "withdrawn":
      return `withdrawn: its order was taken away, and nothing of it goes on; begin another: millrace backfill start ${source}`;
    default:
      return state;
  }
}

function askedText({ rate, by, at, next, ...order }: NonNullable<CopyStanding["order"]>): string {
  const what = askedNames(order, order.initial)?.join(", ") ?? ALL;
  const behind = next === undefined ? "" : `; behind it: ${askedNames(next, order.initial)?.join(", ") ?? ALL}`;
  return `${what}${rate === undefined ? "" : `, at most ${rate} rows/s`}; last by ${by} at ${at}${behind}`;
}

/** `411 of about 1200 rows (34 %), 2 collections done, in public.orders` */
function farText({ progress }: CopyStanding): string {
  if (progress === undefined) return "0 rows";
  const { rows, done, estimatedRows = 0, at } = progress;
  const within = !isOver(progress) && at !== undefined && at.after !== null ? `, in ${formatCollectionName(at)}` : "";
  const collections = `${done} ${done === 1 ? "collection" : "collections"} done${within}`;
  if (isOver(progress) || estimatedRows === 0) return `${rows} rows, ${collections}`;
  const more = rows > estimatedRows ? `${rows} rows, more than the estimated ${estimatedRows}` : undefined;
  return `${more ?? `${rows} of about ${estimatedRows} rows (${Math.floor((100 * rows) / estimatedRows)} %)`}, ${collections}`;
}

/** Undefined where nothing is estimated; below 1 while it is open. */
function shareOf({ progress, state }: CopyStanding): number | undefined {
  const { rows = 0, estimatedRows = 0 } = progress ?? {};
  if (state === "completed") return 1;
  return estimatedRows === 0 ? undefined : Math.min(0.99, rows / estimatedRows);
}

function paceText({ rowsPerSecond, secondsLeft }: Pace): string {
  const fast = rowsPerSecond === undefined ? "" : `, ${Math.round(rowsPerSecond)} rows/s`;
  return `${fast}${secondsLeft === undefined ? "" : `, about ${duration(secondsLeft)} left (an estimate)`}`;
}

function waitLines(source: SourceId, { copy, isRead }: CopyLook): readonly string[] {
  if (copy === undefined || !["ordered", "copying", "waiting"].includes(copy.state)) return [];
  if (!isRead) return [`  no worker reads ${source} now: it waits for one (millrace run)`];
  const { state, progress } = copy;
  if (state === "ordered")
    return [`  the worker that reads ${source} begins within seconds; else its log says why not`];
  const { reason } = progress ?? {};
  if (state !== "waiting" || reason === undefined) return [];
  return [`  ${reason.code}: ${reason.message}`, ...(reason.hint === undefined ? [] : [`  fix: ${reason.hint}`])];
}

function leftOutLines(source: SourceId, { progress }: CopyStanding): readonly string[] {
  const { leftOut = [] } = progress ?? {};
  return leftOut.length === 0 ? [] : [`  left out, for ${source} does not read them: ${leftOut.join(", ")}`];
}
