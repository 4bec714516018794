// `millrace backfill`: what people ask of the copy of existing rows, one record on the bus, which the worker that reads the
// source obeys within a second; and how far it is, by the newest marker of the stream.

import { changeOrder, type Order, readOrder } from "../../backfill/order.ts";
import { isOver, type Progress, parseProgress } from "../../backfill/progress.ts";
import { type BackfillOnBus, openBackfillOnBus } from "../../bus/jetstream/commands/backfill-on-bus.ts";
import { nearest } from "../../config/nearest.ts";
import { ConfigError } from "../../errors.ts";
import { formatCollectionName, parseCollectionName } from "../../event/collection-name.ts";
import type { SourceId } from "../../event/source-id.ts";
import { type CapableSource, namedSource } from "../common/capable-sources.ts";
import { type CommandOptions, loadConfig } from "../common/load-config.ts";
import { asker } from "../common/named-automation.ts";
import { printable } from "../common/terminal.ts";

interface BackfillOptions extends CommandOptions {
  readonly source: string;
}

/** What was asked for and what came of it. */
interface Standing {
  readonly order: Order | undefined;
  readonly progress: Progress | undefined;
}

/** `backfill start`. @throws ConfigError BACKFILL_RUNNING, BACKFILL_COLLECTION_UNKNOWN, SOURCE_UNKNOWN; TransientError */
export async function startBackfill({
  collections: named,
  rate: given,
  ...options
}: BackfillOptions & { readonly collections: readonly string[]; readonly rate?: string }): Promise<void> {
  const rate = given === undefined ? undefined : Number(given);
  if (rate !== undefined && !(rate > 0 && Number.isFinite(rate)))
    throw new ConfigError("BACKFILL_RATE", `--rate ${given} is no number of rows a second`, {
      hint: "Write a number above 0, such as --rate 5000.",
    });
  const { source, bus } = await opened(options);
  await using _ = bus;
  const collections = named.length === 0 ? undefined : await known(named, source);
  const { id } = source;
  const { order } = await changeOrder(bus.state, id, await starting(bus, id, { collections, rate }));
  const what = collections === undefined ? "all that it reads" : collections.join(", ");
  await options.print(
    `copy ${order?.backfill} of ${id} is ordered: ${what}; the worker that reads ${id} begins within seconds, or when it starts`,
  );
}

/** Asks for a copy with a number that none had before, whether the record or the stream has forgotten one. */
async function starting(
  bus: BackfillOnBus,
  source: SourceId,
  { collections, rate }: { readonly collections: Order["collections"] | undefined; readonly rate: number | undefined },
): Promise<(order: Order | undefined) => Order> {
  const { progress } = await standing(bus, source);
  return (order) => {
    if (order !== undefined && isOpen({ order, progress }))
      throw new ConfigError(
        "BACKFILL_RUNNING",
        `copy ${order.backfill} of ${source} is not over: it is ${order.state}`,
        {
          hint: `Let it end, or end it: millrace backfill cancel ${source}`,
        },
      );
    const backfill = Math.max(order?.backfill ?? 0, progress?.backfill ?? 0) + 1;
    return { backfill, state: "running", ...(collections && { collections }), ...(rate && { rate }), ...asker() };
  };
}

/** `backfill status`. @throws ConfigError, TransientError */
export async function showBackfill({ json, ...options }: BackfillOptions & { readonly json: boolean }): Promise<void> {
  const { source, bus } = await opened(options);
  await using _ = bus;
  const { order, progress } = await standing(bus, source.id);
  if (json) return options.print(JSON.stringify({ order: order ?? null, progress: progress ?? null }));
  for (const line of linesOf(source.id, { order, progress })) await options.print(printable(line));
}

const WANTED = { pause: "paused", resume: "running", cancel: "cancelled" } as const;

/** `backfill pause`, `resume`, `cancel`. @throws ConfigError BACKFILL_NONE; TransientError */
export async function steerBackfill({
  to,
  ...options
}: BackfillOptions & { readonly to: keyof typeof WANTED }): Promise<void> {
  const { source, bus } = await opened(options);
  await using _ = bus;
  const { id } = source;
  const { progress } = await standing(bus, id);
  const { order, changed } = await changeOrder(bus.state, id, (known) => {
    if (known === undefined || !isOpen({ order: known, progress }))
      throw new ConfigError("BACKFILL_NONE", `no copy of ${id} runs or rests`, {
        hint: `Begin one: millrace backfill start ${id}`,
      });
    return known.state === WANTED[to] ? undefined : { ...known, state: WANTED[to], ...asker() };
  });
  await options.print(`copy ${order?.backfill} of ${id} ${changed ? "is" : "was"} ${WANTED[to]}`);
}

/** Whether something of it may still come. */
function isOpen({ order, progress }: Standing & { readonly order: Order }): boolean {
  return order.state !== "cancelled" && !(progress?.backfill === order.backfill && isOver(progress));
}

async function standing(bus: BackfillOnBus, source: SourceId): Promise<Standing> {
  const newest = await bus.newest(source);
  const { order } = (await readOrder(bus.state, source)) ?? {};
  return { order, progress: newest && parseProgress(newest) };
}

/** @throws ConfigError BACKFILL_COLLECTION_UNKNOWN, with the name that was probably meant */
async function known(named: readonly string[], source: CapableSource<"copiesRows">): Promise<readonly string[]> {
  const read = await source.connector.collections(source.id, source.config);
  const names = read.map(({ namespace, name }) => formatCollectionName({ namespace, collection: name }));
  return named.map((name) => {
    const parsed = parseCollectionName(name);
    const found = parsed && formatCollectionName(parsed);
    if (found !== undefined && names.includes(found)) return found;
    const meant = nearest(name, names);
    throw new ConfigError("BACKFILL_COLLECTION_UNKNOWN", `${source.id} reads no ${name}`, {
      hint: `${meant === undefined ? "" : `Did you mean ${meant}? `}Write namespace and collection, like public.orders.`,
    });
  });
}

async function opened(
  options: BackfillOptions,
): Promise<{ readonly source: CapableSource<"copiesRows">; readonly bus: BackfillOnBus }> {
  const config = await loadConfig(options.config);
  const source = namedSource(config, options.source, "copiesRows");
  const { access, replicas } = config.bus;
  return { source, bus: await openBackfillOnBus({ ...access.reveal(), replicas, signal: options.signal }) };
}

function linesOf(source: SourceId, { order, progress }: Standing): readonly string[] {
  if (order === undefined && progress === undefined) return [`${source} was never copied`];
  const begun = progress !== undefined && progress.backfill >= (order?.backfill ?? 0);
  const asked = order && `asked for by ${order.by} at ${order.at}: ${order.state}`;
  const ordered = order && !begun ? [`copy ${order.backfill} of ${source}: not begun; ${asked}`] : [];
  if (progress === undefined) return ordered;
  const { backfill, state, rows, done, startedAt, at, reason } = progress;
  const open = at !== undefined && at.after !== null && !isOver(progress);
  return [
    ...ordered,
    `copy ${backfill} of ${source}: ${state}${begun && asked ? `; ${asked}` : ""}`,
    `  ${rows} rows and ${done} collections since ${startedAt}${open ? `, in ${formatCollectionName(at)}` : ""}`,
    ...(reason === undefined ? [] : [`  ${reason.code}: ${reason.message}`]),
  ];
}
