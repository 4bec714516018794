// What is asked of a source's backfill, by people and by the configuration: one record in the state bucket, which the worker that reads the source obeys.

import type { StateStore } from "../bus/state-store.ts";
import { ConfigError } from "../errors.ts";
import { type Asked, backfillKey } from "../event/control.ts";
import type { Position } from "../event/position.ts";
import { comparePlace, type Positions, WHOLE } from "../event/positions.ts";
import type { SourceId } from "../event/source-id.ts";
import type { SourceGap } from "../event/system-event.ts";

/** What a copy takes: all that the source reads, where neither names nor ids are there. */
export interface Wanted {
  /** `namespace.collection` of those to copy. */
  readonly collections?: readonly string[];
  /** The same by `CopyTarget.id`, for what must be found under another name too. */
  readonly ids?: readonly string[];
  /** What it makes good: whoever applies it knows at its end what was deleted in between. */
  readonly gaps?: readonly CopiedGap[];
}

/** As the gap's marker has it. */
export interface CopiedGap extends Pick<SourceGap, "code" | "after" | "upTo" | "collections"> {
  /** The part of the log that the positions belong to, where it has parts. */
  readonly partition?: string;
}

/** As it is kept. What a newer version adds stays where it is. */
export interface Order extends Asked, Wanted {
  /** The number of the copy that is asked for; each has a larger one than those before. */
  readonly backfill: number;
  readonly state: "running" | "paused" | "cancelled";
  /** A pattern over `read` events: rows that do not match it are left out. */
  readonly where?: Readonly<Record<string, unknown>>;
  /** Rows a second at most, in the mean; absent: as fast as it goes. */
  readonly rate?: number;
  /** `namespace.collection` of those that it goes on without: what holds one up shall not hold up the others. */
  readonly without?: readonly string[];
  /** What is to be copied once this is over. */
  readonly next?: Wanted;
  /** Of which collections the one copy that the configuration asks for was ordered, whatever became of it. */
  readonly initial?: InitialCopies;
}

export interface InitialCopies {
  /** The database that the ids are of, where it has a name of its own. */
  readonly origin?: string;
  /** `namespace.collection` by then, by id. */
  readonly collections: Readonly<Record<string, string>>;
}

/** The record of one source. */
export interface Orders {
  /** @throws TransientError, ConfigError */
  read(): Promise<Order | undefined>;
  /** What is on record then; as `changeOrder`. @throws TransientError, ConfigError */
  change(next: (known: Order | undefined) => Order | undefined): Promise<Order | undefined>;
}

export function ordersOf(state: StateStore, source: SourceId): Orders {
  return {
    read: async () => (await readOrder(state, source))?.order,
    change: async (next) => (await changeOrder(state, source, next)).order,
  };
}

function isNames(names: unknown): boolean {
  return names === undefined || (Array.isArray(names) && names.every((name) => typeof name === "string"));
}

function isWanted({ collections, ids, gaps }: Wanted): boolean {
  return isNames(collections) && isNames(ids) && (gaps === undefined || Array.isArray(gaps));
}

/** @throws ConfigError BACKFILL_ORDER_UNREADABLE when it is not what this version writes */
function parseOrder(value: unknown, key: string): Order {
  const { backfill, state, rate, by, at, next, initial, where, without, ...wanted } = (value ?? {}) as Partial<Order>;
  const well =
    Number.isSafeInteger(backfill) &&
    (backfill as number) > 0 &&
    (state === "running" || state === "paused" || state === "cancelled") &&
    isWanted(wanted) &&
    isNames(without) &&
    (next === undefined || isWanted(next)) &&
    (where === undefined || (typeof where === "object" && where !== null)) &&
    (initial === undefined || typeof initial.collections === "object") &&
    (rate === undefined || (typeof rate === "number" && rate > 0)) &&
    typeof by === "string" &&
    typeof at === "string";
  if (!well)
    throw new ConfigError(
      "BACKFILL_ORDER_UNREADABLE",
      `the record ${key} of the state bucket is not what this version writes`,
      {
        hint: `Use the version that wrote it, or take it away (nats kv del millrace_state ${key}) and start the copy again.`,
      },
    );
  return value as Order;
}

/** What is on record; undefined before the first copy. @throws TransientError, ConfigError */
export async function readOrder(
  state: Pick<StateStore, "get">,
  source: SourceId,
): Promise<{ readonly order: Order; readonly revision: number } | undefined> {
  const entry = await state.get(backfillKey(source));
  return entry && { order: parseOrder(entry.value, backfillKey(source)), revision: entry.revision };
}

/**
 * Puts a change on record.
 * @param next from what is on record; undefined where that is right
 * @returns what is on record then, and whether it was changed
 * @throws TransientError, ConfigError, and what `next` throws
 */
export async function changeOrder(
  state: StateStore,
  source: SourceId,
  next: (known: Order | undefined) => Order | undefined,
): Promise<{ readonly order: Order | undefined; readonly changed: boolean }> {
  for (;;) {
    const known = await readOrder(state, source);
    const order = next(known?.order);
    if (order === undefined) return { order: known?.order, changed: false };
    if ((await state.put(backfillKey(source), order, known?.revision ?? 0)) !== undefined)
      return { order, changed: true };
  }
}

/** Of each partition the newest end. */
export function endsOf(gaps: readonly CopiedGap[] = []): Positions {
  const ends = new Map<string, Position>();
  for (const { partition = WHOLE, upTo } of gaps) {
    const end = upTo as Position;
    if (comparePlace({ partition, position: end }, ends) > 0) ends.set(partition, end);
  }
  return ends;
}
