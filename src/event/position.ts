// A position says: after this message the source is in the stream up to and including this place.

/**
 * A place in a source's log as text of fixed width, so that comparing strings compares log order.
 * A `+` at its end says that the transaction is complete there. The format belongs to the source
 * (Postgres: `source/postgres/client/position.ts`); all other code only compares.
 */
export type Position = string & { readonly __brand: "Position" };

/** The position without its `+`. */
export function bare(position: Position): string {
  return position.endsWith("+") ? position.slice(0, -1) : position;
}

/** Whether the transaction is complete at this position. */
export function isComplete(position: Position): boolean {
  return position.endsWith("+");
}

/** Negative, zero or positive, as `a` stands before, at or after `b` in the log. A `+` does not move a position. */
export function comparePositions(a: Position, b: Position): number {
  if (a === b) return 0;
  const x = bare(a);
  const y = bare(b);
  return x < y ? -1 : x > y ? 1 : 0;
}
