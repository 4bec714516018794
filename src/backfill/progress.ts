// How far a copy is, as the newest `meta.<source>.backfill` of the stream says: stored in one batch with the rows before it.

import type { PlainPositions } from "../event/positions.ts";
import type { CopyTarget, Slice } from "../source/capabilities.ts";
import type { Reason } from "../telemetry/reason.ts";
import type { CopiedGap } from "./order.ts";

/** How far a collection is. */
export interface At {
  /** As `CopyTarget.id`. */
  readonly id: string;
  readonly namespace: string;
  readonly collection: string;
  /**
   * Where it goes on in there, for the kind of source alone; null behind its last row; undefined: from the first row on, once
   * more, for more was owed than a marker holds.
   */
  readonly after?: Readonly<Record<string, unknown>> | null;
  /** Of a collection without a key: the moment that all of its rows are of, and whose transactions they show. */
  readonly asOf?: Slice["asOf"];
  /** Keys, as changes have them, of rows that must be read once more: `OwedRows`. */
  readonly owed?: readonly string[];
  /** Up to which of the collection's changes `owed` knows all. */
  readonly seen?: PlainPositions;
  /** More was owed than `owed` holds. */
  readonly again?: true;
  /** It is read once more from its first row on, for that. */
  readonly repeats?: true;
}

/** What a marker says. What a newer version adds stays where it is. */
export interface Progress {
  /** The number of the copy, of one source. */
  readonly backfill: number;
  /** `waiting`: it cannot go on by itself, for the reason that is there, and tries again. */
  readonly state: "copying" | "waiting" | "completed" | "cancelled";
  /** RFC 3339. */
  readonly startedAt: string;
  /** Rows that were stored. One of which an event was newer is not stored. */
  readonly rows: number;
  /** Collections that are done. */
  readonly done: number;
  /** `namespace.collection` of those that were asked for; absent: all that the source reads, or `asked`. */
  readonly collections?: readonly string[];
  /** How many were asked for, where a marker has no room for their names: they are on record alone. */
  readonly asked?: number;
  /** Where it leaves out rows that do not match the pattern of its order, which is not said here: it may hold values. */
  readonly filtered?: true;
  /** What it makes good, from its first marker to its last. */
  readonly gaps?: readonly CopiedGap[];
  /** About how many rows its collections held when it began; absent where that is not known. */
  readonly estimatedRows?: number;
  /** `namespace.collection` of those that were asked for, or begun, and that the source did not read when their turn came. */
  readonly leftOut?: readonly string[];
  /** There are more of them than a marker has room for. */
  readonly leftOutMore?: true;
  /** The newest collection of which it has stored anything; they are copied in the order of their names. */
  readonly at?: At;
  /** Why it waits, and what a person does about it. */
  readonly reason?: Reason & { readonly hint?: string };
}

/** Undefined for what this version does not write: of that nothing is known, and a person has to order a new copy. */
export function parseProgress(value: Readonly<Record<string, unknown>>): Progress | undefined {
  const { backfill, state, startedAt, rows, done, at } = value as Partial<Progress>;
  const well =
    [backfill, rows, done].every((number) => Number.isSafeInteger(number) && (number as number) >= 0) &&
    (state === "copying" || state === "waiting" || isOver({ state })) &&
    typeof startedAt === "string" &&
    (at === undefined ||
      (typeof at.id === "string" && typeof at.namespace === "string" && typeof at.collection === "string")) &&
    (at?.owed === undefined || (Array.isArray(at.owed) && at.owed.every((key) => typeof key === "string")));
  return well ? (value as unknown as Progress) : undefined;
}

/** Whether nothing of the copy comes any more. */
export function isOver({ state }: { readonly state?: Progress["state"] | undefined }): boolean {
  return state === "completed" || state === "cancelled";
}

/** Whether nothing of the collection comes any more. */
export function isDone({ after, owed = [], again }: At): boolean {
  return after === null && owed.length === 0 && again !== true;
}

/** The same copy at another place. */
export function at(progress: Progress, place: At): Progress {
  const { at: before } = progress;
  const wasDone = before !== undefined && isSame(before, place) && isDone(before);
  return { ...progress, at: place, done: progress.done + (isDone(place) && !wasDone ? 1 : 0) };
}

export function isSame(one: Omit<CopyTarget, "id">, other: Omit<CopyTarget, "id">): boolean {
  return one.namespace === other.namespace && one.collection === other.collection;
}

/** What the stream says of how far it is, beside its reason. */
export function placeOf(progress: Progress | undefined): string {
  const { backfill, rows, done, at } = progress ?? {};
  return JSON.stringify([backfill, rows, done, at?.id, at?.after, at?.owed]);
}
