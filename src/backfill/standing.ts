// What is the case with a source's newest copy: by what people asked for, and by what the stream tells of it.

import type { Order } from "./order.ts";
import { isOver, type Progress } from "./progress.ts";

/** `ordered`: not begun. `withdrawn`: begun, and its order is not on record any more, so that nothing of it goes on. */
export const copyStates = ["ordered", "copying", "waiting", "paused", "completed", "cancelled", "withdrawn"] as const;
export type CopyState = (typeof copyStates)[number];

/** The newest copy of a source. */
export interface CopyStanding {
  readonly backfill: number;
  readonly state: CopyState;
  /** What was asked for last; absent where that is on record no more. */
  readonly order?: Order;
  /** Absent before it began. */
  readonly progress?: Progress;
}

/** Undefined where none was ever asked for. @param progress what the newest marker says, be it of a copy before the order's */
export function newestCopy(order: Order | undefined, progress: Progress | undefined): CopyStanding | undefined {
  const backfill = Math.max(order?.backfill ?? 0, progress?.backfill ?? 0);
  if (backfill === 0) return undefined;
  const asked = order?.backfill === backfill ? order : undefined;
  const told = progress?.backfill === backfill ? progress : undefined;
  return { backfill, state: stateOf(asked, told), ...(asked && { order: asked }), ...(told && { progress: told }) };
}

function stateOf(order: Order | undefined, progress: Progress | undefined): CopyState {
  if (progress !== undefined && isOver(progress)) return progress.state;
  if (order === undefined) return "withdrawn";
  return order.state === "running" ? (progress?.state ?? "ordered") : order.state;
}

/** Whether something of it may still come. */
export function isOpen({ state }: Pick<CopyStanding, "state">): boolean {
  return state === "ordered" || state === "copying" || state === "waiting" || state === "paused";
}

/**
 * `namespace.collection`, by id, of what was copied once as the configuration asks, or was left out of that by somebody: none while
 * something of it may still come.
 */
export function copiedOnce(copy: CopyStanding | undefined): Readonly<Record<string, string>> {
  const { order } = copy ?? {};
  return copy === undefined || isOpen(copy) || order?.next !== undefined ? {} : (order?.initial?.collections ?? {});
}
