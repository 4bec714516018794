// A copy in words: what is the case, how far it is, and what a person would type next.

import { askedNames } from "../../backfill/asked-collections.ts";
import { isDone, isOver, type Progress } from "../../backfill/progress.ts";
import type { CopyStanding } from "../../backfill/standing.ts";
import { formatCollectionName } from "../../event/collection-name.ts";
import type { SourceId } from "../../event/source-id.ts";
import { duration } from "../../telemetry/quantities.ts";
import type { Pace } from "./copy-pace.ts";
import type { CopyLook } from "./copy-watch.ts";

const ALL = "all that the source reads";
const MOST_NAMES = 100;

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
    ...snapshotLines(copy),
    ...waitLines(source, look),
    ...leftOutLines(copy),
  ];
}

/** Of a collection without a key: what it costs the database, and what begins it again. */
export function snapshotLines({ progress }: CopyStanding): readonly string[] {
  const { at } = progress ?? {};
  if (progress === undefined || at?.asOf === undefined || isOver(progress) || isDone(at)) return [];
  return [
    `  ${formatCollectionName(at)} has no key: it is read as of ${at.asOf.time}, in one snapshot that holds back VACUUM until its end; a pause or a restart begins it again`,
  ];
}

/** For one line that is drawn anew: what is worth most comes first, for the line may be cut. */
export function copyBar(source: SourceId, look: CopyLook, pace: Pace): string {
  const { copy } = look;
  if (copy === undefined) return `${source} was never copied`;
  const share = shareOf(copy);
  const filled = Math.round(20 * (share ?? 0));
  const bar = share === undefined ? "" : `${"█".repeat(filled)}${"░".repeat(20 - filled)} `;
  const state = look.isRead || copy.state === "paused" ? copy.state : "no worker";
  const rests = state === "copying" ? "" : `${state}, `;
  return `${bar}${rests}${rowsText(copy)}${paceText(pace)}${copy.progress === undefined ? "" : `, ${placeText(copy.progress)}`}`;
}

/** How the copy ended, for whoever followed it. */
export function endLines(source: SourceId, { copy }: CopyLook): readonly string[] {
  if (copy === undefined) return [`${source} has no copy any more`];
  return [`copy ${copy.backfill} of ${source} is ${stateText(source, copy)}: ${farText(copy)}`, ...leftOutLines(copy)];
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

function askedText({ rate, by, at, next, without, ...order }: NonNullable<CopyStanding["order"]>): string {
  const what = namesText(askedNames(order, order.initial));
  const behind = next === undefined ? "" : `; behind it: ${namesText(askedNames(next, order.initial))}`;
  const less = without === undefined ? "" : ` without ${without.join(", ")}`;
  return `${what}${less}${rate === undefined ? "" : `, at most ${rate} rows/s`}; last by ${by} at ${at}${behind}`;
}

function namesText(names: readonly string[] | undefined): string {
  if (names === undefined) return ALL;
  const more = names.length - MOST_NAMES;
  return more > 0 ? `${names.slice(0, MOST_NAMES).join(", ")} and ${more} more` : names.join(", ");
}

function farText(copy: CopyStanding): string {
  return copy.progress === undefined ? rowsText(copy) : `${rowsText(copy)}, ${placeText(copy.progress)}`;
}

/** `411 of about 1200 rows (34 %)` */
function rowsText({ progress }: CopyStanding): string {
  const { rows = 0, estimatedRows = 0 } = progress ?? {};
  if (progress === undefined || isOver(progress) || estimatedRows === 0) return `${rows} rows`;
  return rows > estimatedRows
    ? `${rows} rows, more than the estimated ${estimatedRows}`
    : `${rows} of about ${estimatedRows} rows (${Math.floor((100 * rows) / estimatedRows)} %)`;
}

/** `2 collections done, in public.orders` */
function placeText(progress: Progress): string {
  const { done, at } = progress;
  const within = !isOver(progress) && at !== undefined && !isDone(at) ? `, in ${formatCollectionName(at)}` : "";
  return `${done} ${done === 1 ? "collection" : "collections"} done${within}`;
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

/** What it waits for, and what a person does about it. */
export function waitLines(source: SourceId, { copy, isRead }: CopyLook): readonly string[] {
  if (copy === undefined || !["ordered", "copying", "waiting"].includes(copy.state)) return [];
  if (!isRead) return [`  no worker reads ${source} now: it waits for one (millrace run)`];
  const { state, progress } = copy;
  if (state === "ordered")
    return [`  the worker that reads ${source} begins within seconds; else its log says why not`];
  const { reason } = progress ?? {};
  if (state !== "waiting" || reason === undefined) return [];
  return [`  ${reason.code}: ${reason.message}`, ...(reason.hint === undefined ? [] : [`  fix: ${reason.hint}`])];
}

function leftOutLines({ progress }: CopyStanding): readonly string[] {
  const { leftOut = [], leftOutMore } = progress ?? {}; // not read any more, or somebody said so
  const more = leftOutMore === true ? " and more" : "";
  return leftOut.length === 0 ? [] : [`  left out: ${leftOut.join(", ")}${more}`];
}
