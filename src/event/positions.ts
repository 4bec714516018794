// How far a source is: a position for each of its partitions. The only place where positions are compared across the code
// that knows no database, and it never compares those of two partitions.

import { comparePositions, isComplete, type Position } from "./position.ts";

/** The newest place of each partition, by the partition's name. Never empty. */
export type Positions = ReadonlyMap<string, Position>;

/** Where something stands. */
export interface Place {
  /**
   * Text that fits a header (`Cdc-Part`): the part of the source's log that the position belongs to. Undefined where the
   * source has no parts; a source names it for all that it hands out, or for nothing.
   */
  readonly partition?: string | undefined;
  readonly position: Position;
}

/** A position where there are no partitions, else by their names: how positions are stored and shown. */
export type PlainPositions = Position | Readonly<Record<string, Position>>;

/** The name of the one partition of a source that has no parts. */
export const WHOLE = "";

/** One place alone. */
export function positionsAt({ partition = WHOLE, position }: Place): Positions {
  return new Map([[partition, position]]);
}

/** The newest place of each partition, of some that stand in the order of their source; undefined of none. */
export function newestOf(places: readonly Place[]): Positions | undefined {
  const last = places.at(-1);
  if (last === undefined) return undefined;
  if (last.partition === undefined) return positionsAt(last);
  const newest = new Map<string, Position>();
  for (const { partition = WHOLE, position } of places) newest.set(partition, position);
  return newest;
}

/** The places of all partitions. */
export function placesOf(positions: Positions): readonly Place[] {
  return [...positions].map(([name, position]) => ({ partition: name === WHOLE ? undefined : name, position }));
}

/** The position of a source without partitions; undefined where there is none, or the source has partitions. */
export function onlyPosition(positions: Positions | undefined): Position | undefined {
  return positions?.get(WHOLE);
}

/** Negative, zero or positive, as a place stands before, at or after what is reached in its partition; positive where that is nothing. */
export function comparePlace({ partition = WHOLE, position }: Place, reached: Positions | undefined): number {
  const at = reached?.get(partition);
  return at === undefined ? 1 : comparePositions(position, at);
}

/** Whether `at` is at or behind `places` in each partition that they name. */
export function reaches(at: Positions | undefined, places: Positions): boolean {
  for (const [partition, position] of places) if (isBehind(position, at?.get(partition))) return false;
  return true;
}

/** The later place of each partition; at the same place the complete one. */
export function laterPositions(a: Positions, b: Positions | undefined): Positions;
export function laterPositions(a: Positions | undefined, b: Positions | undefined): Positions | undefined;
export function laterPositions(a: Positions | undefined, b: Positions | undefined): Positions | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  let later: Map<string, Position> | undefined;
  for (const [partition, position] of b) {
    const order = comparePlace({ partition, position }, a);
    const ends = order === 0 && isComplete(position) && position !== a.get(partition);
    if (order <= 0 && !ends) continue;
    later ??= new Map(a);
    later.set(partition, position);
  }
  return later ?? a;
}

/** What of `places` stands behind `at`; undefined when nothing does. */
export function placesBehind(places: Positions | undefined, at: Positions | undefined): Positions | undefined {
  if (places === undefined || reaches(at, places)) return undefined;
  return new Map([...places].filter(([partition, position]) => isBehind(position, at?.get(partition))));
}

function isBehind(position: Position, at: Position | undefined): boolean {
  return at === undefined || comparePositions(position, at) > 0;
}

/** All but those of these partitions; undefined when nothing is left. */
export function withoutPartitions(positions: Positions | undefined, names: ReadonlySet<string>): Positions | undefined {
  if (positions === undefined || names.size === 0) return positions;
  if (![...positions.keys()].some((partition) => names.has(partition))) return positions;
  const rest = new Map([...positions].filter(([partition]) => !names.has(partition)));
  return rest.size === 0 ? undefined : rest;
}

/** Whether no partition is inside of a transaction. */
export function areComplete(positions: Positions): boolean {
  for (const position of positions.values()) if (!isComplete(position)) return false;
  return true;
}

/** As they are stored and shown. */
export function plainPositions(positions: Positions): PlainPositions {
  return (positions.size === 1 && positions.get(WHOLE)) || Object.fromEntries(positions);
}

/** More would make a line of the log as long as a page. */
const MAX_LOGGED = 8;

/** For a line of the log: as they are while they are few, else how many there are. */
export function loggedPositions(plain: PlainPositions): PlainPositions | { readonly partitions: number } {
  if (typeof plain === "string") return plain;
  const partitions = Object.keys(plain).length;
  return partitions > MAX_LOGGED ? { partitions } : plain;
}

/** The other way round. */
export function positionsFrom(plain: PlainPositions): Positions {
  return typeof plain === "string" ? positionsAt({ position: plain }) : new Map(Object.entries(plain));
}
