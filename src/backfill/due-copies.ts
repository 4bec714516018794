// What is to be copied by now: what people ordered, and what nobody has to order by hand. The configuration asks for one copy of a
// collection; what comes while a copy runs waits behind it. All of it is in the one record, so a kill between two steps forgets
// nothing and asks for nothing twice.

import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../clock.ts";
import { formatCollectionName } from "../event/collection-name.ts";
import type { SourceGap } from "../event/system-event.ts";
import type { CopyTarget, InitialTargets, RowCopier } from "../source/capabilities.ts";
import { askedBy } from "./asked-collections.ts";
import type { CopiedGap, Order, Orders, Wanted } from "./order.ts";
import { isOver, type Progress, parseProgress } from "./progress.ts";

/** How often it is looked for collections that are new. */
const LOOK_MS = 10_000;

export interface DueCopiesOptions {
  readonly copier: Pick<RowCopier, "initial">;
  readonly orders: Orders;
  readonly clock: Clock;
}

/** With what of the source it is about. */
type ToldGap = Pick<SourceGap, "code" | "after" | "upTo"> & {
  readonly collections?: readonly string[] | undefined;
  readonly partition?: string | undefined;
};

export class DueCopies {
  readonly #options: DueCopiesOptions;
  #nextLookMs = 0;
  /** The number of the order that it was looked at last. */
  #lookedAt: number | undefined;

  constructor(options: DueCopiesOptions) {
    this.#options = options;
  }

  /**
   * Orders a copy of what a gap covers, once however often it is told. Before the gap's marker is stored: killed in between, the gap
   * is told again.
   * @param stored how far the newest copy was @throws TransientError, ConfigError
   */
  async repair(gap: ToldGap, stored: Readonly<Record<string, unknown>> | undefined): Promise<void> {
    const { orders, clock } = this.#options;
    const time = new Date(clock.wall()).toISOString();
    const copied = copiedGap(gap);
    await orders.change((known) => withGap(known, stored && parseProgress(stored), copied, time));
  }

  /** What is on record, once that has all that is due. @param stored how far the newest copy is @throws TransientError, ConfigError */
  async order(stored: Progress | undefined): Promise<Order | undefined> {
    const { copier, orders, clock } = this.#options;
    let order = await orders.read();
    const time = new Date(clock.wall()).toISOString();
    // Also before each new copy: what that one takes needs no other.
    if (copier.initial !== undefined && (clock.now() >= this.#nextLookMs || order?.backfill !== this.#lookedAt)) {
      const found = await copier.initial();
      order = await orders.change((known) => withInitial(known, stored, found, time));
      this.#nextLookMs = clock.now() + LOOK_MS;
      this.#lookedAt = order?.backfill;
    }
    if (order?.next !== undefined && isSettled(order, stored)) {
      order = await orders.change((known) => withNext(known, stored, time));
    }
    return order;
  }
}

function copiedGap({ code, after, upTo, collections, partition }: ToldGap): CopiedGap {
  return { code, after, upTo, ...(collections && { collections }), ...(partition !== undefined && { partition }) };
}

/**
 * What is on record once the collections are ordered that were not yet; undefined where all of them were. One is known by its id,
 * with its name or its database: a table that was renamed is the same, and so is one of a database that was upgraded with its
 * ids; of another database's table the same id says nothing.
 */
function withInitial(
  order: Order | undefined,
  stored: Progress | undefined,
  { origin, targets }: InitialTargets,
  time: string,
): Order | undefined {
  const { initial } = order ?? {};
  const isSame = initial?.origin === origin;
  const known = ({ id, ...name }: CopyTarget): boolean => {
    const was = initial !== undefined && Object.hasOwn(initial.collections, id) ? initial.collections[id] : undefined;
    return was !== undefined && (isSame || was === formatCollectionName(name));
  };
  const fresh = targets.filter((target) => !known(target));
  if (fresh.length === 0 && (isSame || initial === undefined)) return undefined;
  const kept = isSame ? initial?.collections : named(targets.filter(known));
  const collections = { ...kept, ...named(fresh) };
  const isCovered = coveredBy(order, stored);
  const ids = fresh.filter((target) => !isCovered(target)).map(({ id }) => id);
  const asked = ids.length === 0 ? order : withWanted(order, stored, { ids }, time);
  // Nothing is new, and the ids are another database's by now: there was an order then.
  return asked && { ...asked, initial: { ...(origin !== undefined && { origin }), collections } };
}

/** What is on record once a copy of what a gap covers is ordered; undefined where one is on record for that gap. */
function withGap(
  order: Order | undefined,
  stored: Progress | undefined,
  gap: CopiedGap,
  time: string,
): Order | undefined {
  const known = [...(order?.gaps ?? []), ...(order?.next?.gaps ?? [])];
  if (known.some((one) => isDeepStrictEqual(one, gap))) return undefined;
  const { collections } = gap;
  return withWanted(order, stored, { ...(collections && { collections }), gaps: [gap] }, time);
}

/** What is on record once this is ordered too: at once, or behind what is not over. */
function withWanted(order: Order | undefined, stored: Progress | undefined, wanted: Wanted, time: string): Order {
  if (order === undefined || (order.next === undefined && isSettled(order, stored)))
    return following(order, stored, wanted, time);
  return { ...order, next: order.next === undefined ? wanted : both(order.next, wanted) };
}

/** What waits is the next copy; undefined where somebody else has made it that. */
function withNext(order: Order | undefined, stored: Progress | undefined, time: string): Order | undefined {
  return order?.next === undefined || !isSettled(order, stored)
    ? undefined
    : following(order, stored, order.next, time);
}

function following(order: Order | undefined, stored: Progress | undefined, wanted: Wanted, time: string): Order {
  const { initial } = order ?? {};
  const backfill = nextNumber(order, stored);
  return { backfill, state: "running", ...wanted, ...(initial && { initial }), by: "the configuration", at: time };
}

/** A number that no copy had before, whether the record or the stream has forgotten one. */
function nextNumber(order: Order | undefined, stored: Progress | undefined): number {
  return Math.max(order?.backfill ?? 0, stored?.backfill ?? 0) + 1;
}

/** Whether nothing comes of it any more, and the stream was told so where it was told that it began. */
function isSettled(order: Order, stored: Progress | undefined): boolean {
  if (order.backfill !== stored?.backfill) return order.backfill < (stored?.backfill ?? 0);
  return isOver(stored);
}

/** Whether a copy that has not begun takes a collection. */
function coveredBy(order: Order | undefined, stored: Progress | undefined): (target: CopyTarget) => boolean {
  if (order === undefined) return () => false;
  const waits = order.backfill > (stored?.backfill ?? 0) && order.state !== "cancelled" && order.where === undefined;
  const copies = [...(waits ? [order] : []), ...(order.next === undefined ? [] : [order.next])].map(askedBy);
  return (target) => copies.some((isAsked) => isAsked(target));
}

function both(one: Wanted, other: Wanted): Wanted {
  const of = [...(one.gaps ?? []), ...(other.gaps ?? [])];
  const gaps = of.length === 0 ? {} : { gaps: of };
  if (isAll(one) || isAll(other)) return gaps;
  return { ...union("collections", one, other), ...union("ids", one, other), ...gaps };
}

function isAll({ collections, ids }: Wanted): boolean {
  return collections === undefined && ids === undefined;
}

function union(of: "collections" | "ids", one: Wanted, other: Wanted): Wanted {
  if (one[of] === undefined && other[of] === undefined) return {};
  return { [of]: [...new Set([...(one[of] ?? []), ...(other[of] ?? [])])] };
}

function named(targets: readonly CopyTarget[]): Readonly<Record<string, string>> {
  return Object.fromEntries(targets.map(({ id, ...name }) => [id, formatCollectionName(name)]));
}
