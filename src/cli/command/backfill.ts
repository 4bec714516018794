// `millrace backfill`: what people ask of the copy of existing rows, one record on the bus, which the worker that reads the
// source obeys within a second; and how far it is, by the newest marker of the stream.

import { checkWhere } from "../../backfill/filtered-copier.ts";
import { type CopiedGap, changeOrder, type Order } from "../../backfill/order.ts";
import { type CopyStanding, isOpen, newestCopy } from "../../backfill/standing.ts";
import { realClock } from "../../clock.ts";
import { resolveConfig } from "../../config/resolve.ts";
import { connectors } from "../../connectors.ts";
import { ConfigError, TransientError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { type CapableSource, namedSource } from "../common/capable-sources.ts";
import { copyLines, endLines } from "../common/copy-lines.ts";
import { meanPace, type Pace, RecentPace } from "../common/copy-pace.ts";
import { type CopyLook, CopyWatch } from "../common/copy-watch.ts";
import { followCopy, parseRate } from "../common/follow-copy.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";
import { asker } from "../common/named-automation.ts";
import { namedCollections } from "../common/named-collections.ts";
import { printable } from "../common/terminal.ts";

interface BackfillOptions extends CommandOptions {
  readonly source: string;
}

export interface StartOptions extends BackfillOptions {
  readonly collections: readonly string[];
  /** Rows a second, or `max`. */
  readonly rate?: string;
  /** Instead of collections: what the newest gap covers. */
  readonly fromGap?: boolean;
  /** A pattern, as JSON. */
  readonly where?: string;
  /** Do not wait for its end. */
  readonly detach: boolean;
  readonly json: boolean;
  readonly log: Logger;
}

/**
 * `backfill start`: orders it and, but for `detach`, follows it.
 * @returns whether all that was asked for is copied; with `detach`, that it is ordered
 * @throws ConfigError BACKFILL_RUNNING, BACKFILL_COLLECTION_UNKNOWN, BACKFILL_FROM_GAP, BACKFILL_RATE, SOURCE_UNKNOWN; TransientError
 */
export async function startBackfill({
  collections: named,
  rate: given,
  fromGap = false,
  where: pattern,
  detach,
  json,
  log,
  ...options
}: StartOptions): Promise<boolean> {
  const rate = given === undefined ? undefined : parseRate(given);
  const { source, watch } = await opened(options);
  await using _ = watch;
  const { id } = source;
  const where = pattern === undefined ? undefined : parseWhere(pattern, id, named.length > 0 && !fromGap);
  if (fromGap && named.length > 0)
    throw new ConfigError("BACKFILL_FROM_GAP", "--from-gap copies what the gap covers, and no other tables", {
      hint: "Leave out either the tables or --from-gap.",
    });
  const gap = fromGap ? await gapOf(watch) : undefined;
  const collections = gap?.collections ?? (named.length === 0 ? undefined : await namedCollections(named, source));
  const { backfill } = await order(watch, { collections, rate, gap, where });
  const say = (line: string): Promise<void> => options.print(printable(line));
  if (!json) {
    await say(`copy ${backfill} of ${id} is ordered: ${collections?.join(", ") ?? "all that it reads"}`);
    const isRead = await (await watch.bus()).isRead(id);
    if (!isRead) await say(noWorker(id));
    else if (detach) await say(`the worker that reads ${id} begins within seconds`);
  }
  if (detach) {
    if (json) await options.print(report(id, await watch.look(), {}));
    return true;
  }
  const last = await followCopy(watch, backfill, { log, signal: options.signal });
  const whole = last?.copy?.backfill === backfill && last.copy.state === "completed" && !last.copy.progress?.leftOut;
  if (json && last !== undefined) await options.print(report(id, last, meanPace(last)));
  if (json) return whole;
  if (last?.copy !== undefined && last.copy.backfill !== backfill)
    await say(`copy ${backfill} of ${id} is over, and copy ${last.copy.backfill} was ordered since`);
  else if (last !== undefined && !(last.copy !== undefined && isOpen(last.copy)))
    for (const line of endLines(id, last)) await say(line);
  else {
    await say(`copy ${backfill} of ${id} goes on without this command`);
    await say(`  watch it:  millrace backfill status ${id} --watch`);
    await say(`  rest, end: millrace backfill pause ${id}, millrace backfill cancel ${id}`);
  }
  return whole;
}

function noWorker(id: SourceId): string {
  return `no worker reads ${id} now: the copy waits for one (millrace run)`;
}

/** @throws ConfigError BACKFILL_WHERE, PATTERN_INVALID */
function parseWhere(text: string, source: SourceId, named: boolean): Order["where"] {
  if (!named)
    throw new ConfigError("BACKFILL_WHERE", "--where is about rows of tables that are named", {
      hint: "Name them: a pattern fits the columns of some tables; and what a gap covers is copied whole.",
    });
  let where: unknown;
  try {
    where = JSON.parse(text);
  } catch {
    throw new ConfigError("BACKFILL_WHERE", "--where is not JSON", {
      hint: `Write a pattern over the row: --where '{ "after": { "status": ["open"] } }'`,
    });
  }
  checkWhere(where, source);
  return where as Order["where"];
}

/** The newest in the stream. @throws ConfigError BACKFILL_FROM_GAP; TransientError */
async function gapOf(watch: CopyWatch): Promise<CopiedGap> {
  const gap = await (await watch.bus()).newestGap(watch.source);
  if (gap !== undefined) return gap;
  throw new ConfigError("BACKFILL_FROM_GAP", `the stream of ${watch.source} has no gap`, {
    hint: `Nothing to do, unless its retention has dropped the marker: then copy all, millrace backfill start ${watch.source}.`,
  });
}

/** Asks for a copy with a number that none had before, whether the record or the stream has forgotten one. */
async function order(
  watch: CopyWatch,
  {
    collections,
    rate,
    gap,
    where,
  }: {
    readonly collections: Order["collections"] | undefined;
    readonly rate: number | undefined;
    readonly gap: CopiedGap | undefined;
    readonly where: Order["where"];
  },
): Promise<Order> {
  const { source } = watch;
  const { copy: before } = await watch.look();
  const { order } = await changeOrder((await watch.bus()).state, source, (known) => {
    const copy = newestCopy(known, before?.progress);
    if (copy !== undefined && isOpen(copy))
      throw new ConfigError("BACKFILL_RUNNING", `copy ${copy.backfill} of ${source} is not over: it is ${copy.state}`, {
        hint: `See it: millrace backfill status ${source}. ${copy.state === "paused" ? `Let it go on: millrace backfill resume ${source}` : "Let it end"}, or end it: millrace backfill cancel ${source}`,
      });
    const backfill = (copy?.backfill ?? 0) + 1;
    const { initial, next } = known ?? {};
    const kept = { ...(initial && { initial }), ...(next && { next }) };
    return {
      ...{ backfill, state: "running", ...(collections && { collections }), ...(rate && { rate }) },
      ...(gap && { gaps: [gap] }),
      ...(where && { where }),
      ...{ ...kept, ...asker() },
    };
  });
  return order as Order;
}

export interface StatusOptions extends BackfillOptions {
  readonly watch: boolean;
  readonly json: boolean;
}

const LOOK_EVERY_MS = 2000;

/** `backfill status`; with `watch` again and again, until the copy is over. @throws ConfigError, TransientError */
export async function showBackfill({ watch: again, json, ...options }: StatusOptions): Promise<void> {
  const { source, watch } = await opened(options);
  await using _ = watch;
  const { id } = source;
  const { signal, print } = options;
  const recent = new RecentPace();
  const redraw = again && !json && process.stdout.isTTY === true;
  for (;;) {
    const look = await watch.look().catch((error: unknown) => {
      if (again && error instanceof TransientError) return error; // it may come back
      throw error;
    });
    if (redraw) await print("\u001b[2J\u001b[H");
    if (look instanceof TransientError) {
      const { code, message } = look;
      await print(json ? JSON.stringify({ unanswered: { code, message } }) : printable(`${code}: ${message}`));
    } else {
      const pace = again ? recent.look(look, realClock.now()) : meanPace(look);
      for (const line of json ? [report(id, look, pace)] : copyLines(id, look, pace)) await print(printable(line));
      if (look.copy === undefined || !isOpen(look.copy)) return;
    }
    if (!again) return;
    await realClock.sleep(LOOK_EVERY_MS, signal);
    if (signal.aborted) return;
  }
}

const WANTED = { pause: "paused", resume: "running", cancel: "cancelled" } as const;

export interface SteerOptions extends BackfillOptions {
  readonly to: keyof typeof WANTED;
  /** With `resume`: from now on, in rows a second, or `max`. */
  readonly rate?: string;
  /** With `resume`: collections that it goes on without. */
  readonly without?: readonly string[];
}

/** `backfill pause`, `resume`, `cancel`. @throws ConfigError BACKFILL_NONE, BACKFILL_RATE, BACKFILL_COLLECTION_UNKNOWN; TransientError */
export async function steerBackfill({ to, rate: given, without: named = [], ...options }: SteerOptions): Promise<void> {
  const rate = given === undefined ? undefined : { rate: parseRate(given) };
  const { source, watch } = await opened(options);
  await using _ = watch;
  const { id } = source;
  const left = named.length === 0 ? [] : await namedCollections(named, source);
  const { copy: before, isRead } = await watch.look();
  let was: CopyStanding | undefined;
  const { changed } = await changeOrder((await watch.bus()).state, id, (known) => {
    was = newestCopy(known, before?.progress);
    if (known === undefined || was === undefined || !(isOpen(was) || (to === "cancel" && was.state === "cancelled")))
      throw nothingTo(to, id, was);
    const { rate: kept, ...others } = known;
    const wanted = rate === undefined ? kept : rate.rate;
    const next: Order = { ...others, ...(wanted !== undefined && { rate: wanted }), state: WANTED[to] };
    const without = [...new Set([...(known.without ?? []), ...left])];
    const isSame =
      known.state === next.state && known.rate === next.rate && without.length === (known.without ?? []).length;
    return isSame ? undefined : { ...next, ...(without.length > 0 && { without }), ...asker() };
  });
  await options.print(printable(steeredText(id, to, was as CopyStanding, { changed, rate, left })));
  if (to !== "cancel" && !isRead) await options.print(noWorker(id));
}

function nothingTo(to: string, id: SourceId, copy: CopyStanding | undefined): ConfigError {
  const what = copy === undefined ? `${id} was never copied` : `copy ${copy.backfill} of ${id} is ${copy.state}`;
  return new ConfigError("BACKFILL_NONE", `${what}: there is nothing to ${to}`, {
    hint: `Begin one: millrace backfill start ${id}`,
  });
}

function steeredText(
  id: SourceId,
  to: keyof typeof WANTED,
  { backfill, state, order }: CopyStanding,
  {
    changed,
    rate,
    left,
  }: {
    readonly changed: boolean;
    readonly rate: { readonly rate: number | undefined } | undefined;
    readonly left: readonly string[];
  },
): string {
  const copy = `copy ${backfill} of ${id}`;
  const already = `already, by ${order?.by} at ${order?.at}`;
  if (to === "cancel")
    return `${copy} is cancelled${changed ? "" : ` ${already}`}: what was copied stays in the stream`;
  if (to === "pause") {
    const goesOn = `it goes on with: millrace backfill resume ${id}`;
    return changed
      ? `${copy} is paused behind the batch in hand; ${goesOn}`
      : `${copy} is paused ${already}; ${goesOn}`;
  }
  const speed =
    rate === undefined ? "" : rate.rate === undefined ? ", as fast as it can" : `, at most ${rate.rate} rows/s`;
  const how = `${speed}${left.length === 0 ? "" : `, without ${left.join(", ")}`}`;
  return state === "paused" ? `${copy} goes on${how}` : `${copy} was not paused: it is ${state}${how}`;
}

/** For `--json`. */
function report(source: SourceId, { copy, toldAt, isRead }: CopyLook, { rowsPerSecond, secondsLeft }: Pace): string {
  return JSON.stringify({
    source,
    backfill: copy?.backfill ?? null,
    state: copy?.state ?? null,
    order: copy?.order ?? null,
    progress: copy?.progress ?? null,
    toldAt: toldAt ?? null,
    isRead,
    rowsPerSecond: rowsPerSecond ?? null,
    estimatedSecondsLeft: secondsLeft ?? null,
  });
}

async function opened(
  options: BackfillOptions,
): Promise<{ readonly source: CapableSource<"copiesRows">; readonly watch: CopyWatch }> {
  const config = resolveConfig(await readConfig(options.config), connectors);
  const source = namedSource(config, options.source, "copiesRows");
  return { source, watch: new CopyWatch(source.id, config.bus, options.signal) };
}
