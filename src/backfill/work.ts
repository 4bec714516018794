// What a copy has to do next, by what is on record and by what the stream says of it.

import { askedNames, fitting } from "./asked-collections.ts";
import type { Order } from "./order.ts";
import { isOver, type Progress } from "./progress.ts";

export interface Work {
  readonly order: Order;
  /** Where it stands. */
  readonly progress: Progress;
  /** Whether the stream is yet to be told that it begins. */
  readonly isNew: boolean;
}

/**
 * Undefined where nothing is asked for, or all of it is done, or it rests.
 * @param stored what the stream says of the newest copy
 * @param startedAt RFC 3339, of a copy that begins now
 */
export function workOf(order: Order | undefined, stored: Progress | undefined, startedAt: string): Work | undefined {
  if (order === undefined || order.backfill < (stored?.backfill ?? 0)) return undefined;
  if (stored?.backfill === order.backfill) {
    return isOver(stored) || order.state === "paused" ? undefined : { order, progress: stored, isNew: false };
  }
  if (order.state === "paused") return undefined;
  const { backfill } = order;
  const collections = askedNames(order, order.initial);
  return {
    order,
    progress: {
      ...{ backfill, state: "copying", startedAt, rows: 0, done: 0 },
      ...(collections && (fitting(collections) === collections ? { collections } : { asked: collections.length })),
      ...(order.gaps && { gaps: order.gaps }),
      ...(order.where !== undefined && { filtered: true as const }),
    },
    isNew: order.state === "running",
  };
}
