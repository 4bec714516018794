// What a trigger asks of an update beyond its op: that a column went from one value to another, that one of some columns
// changed, that a number crossed a limit. Each goes by the two rows of the event alone.

import { isDeepStrictEqual } from "node:util";
import type { ChangeEvent } from "../../event/change-event.ts";
import type { ColumnKind, Columns } from "../../event/column-kind.ts";
import { invalid } from "../outcome/invalid.ts";
import { kindAt, numbersOf } from "../pattern/columns.ts";
import type { EventShape } from "../pattern/event-shape.ts";
import { LearningPattern } from "../pattern/learning-pattern.ts";
import { type Bound, boundOf, compareTo, numberKey } from "../pattern/number.ts";
import type { Value } from "../pattern/test.ts";

type Row = Readonly<Record<string, unknown>>;

/** What an update must be for a trigger to take it. */
export interface RowCondition {
  /** For a person: what it waits for. */
  readonly text: string;
  /** Columns that it compares. */
  readonly columns: readonly string[];
  /** Whether it needs the row before also where the log tells by itself which columns changed. */
  readonly needsBefore: boolean;
  /** Whether it goes by what the events' own schema says of the columns. */
  readonly asksColumns: boolean;
  /** @param columns what the event's own schema says of them; undefined where that is not asked for, or it names none */
  holds(event: ChangeEvent, columns: Columns | undefined): boolean;
}

const NO_WORK = { steps: 0 };

/** A column went from one of some values to one of some others; where one end is left open, from or to anything else. */
export function transition(options: TransitionInput, shape: EventShape, place: string): RowCondition {
  const { column, from, to } = options;
  const ends = [
    ...(from === undefined ? [] : [["before", valuesOf(from, `${place}: from`)] as const]),
    ...(to === undefined ? [] : [["after", valuesOf(to, `${place}: to`)] as const]),
  ];
  const changes = changed([column], shape, place);
  if (ends.length === 0) return { ...changes, text: `a change of ${column}` };
  const pattern = new LearningPattern(
    Object.fromEntries(ends.map(([image, values]) => [image, { [column]: values }])),
    shape,
    place,
  );
  const [[, first = []] = [], [, second = []] = []] = ends;
  if (ends.length === 2 && first.length === 1 && second.length === 1 && isDeepStrictEqual(first, second)) {
    throw invalid(`${place}: from and to are the same value`, "an update that does not change the column is none");
  }
  return {
    ...changes,
    text: `a change of ${column}${ends.map(([image]) => (image === "before" ? " from a value" : " to a value")).join("")}`,
    needsBefore: from !== undefined,
    asksColumns: changes.asksColumns || pattern.asksColumns,
    holds: (event, columns) => changes.holds(event, columns) && pattern.matches(event, columns),
  };
}

/** What `updated` takes of one column. */
export interface TransitionInput {
  readonly column: string;
  readonly from?: unknown;
  readonly to?: unknown;
}

/** Plain values, for a pattern: of a date its text, of a bigint its digits. */
function valuesOf(given: unknown, place: string): readonly (string | number | boolean | null)[] {
  const values: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (values.length === 0) throw invalid(`${place} is an empty list`, "name at least one value, or leave it out");
  return values.map((value) => {
    if (value instanceof Date) return value.toJSON();
    if (typeof value === "bigint") return String(value);
    if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean")
      return value;
    throw invalid(`${place} is no plain value`, "write a text, a number, a boolean, null, or a list of them");
  });
}

/** One of the columns has another value than before. */
export function changed(columns: readonly string[], shape: EventShape, place: string): RowCondition {
  const known = columns.map((column) => kindAt(`after.${column}`, shape, place));
  const kinds = new WeakMap<Columns, readonly ColumnKind[]>();
  const kindsBy = (learned: Columns | undefined): readonly ColumnKind[] => {
    if (learned === undefined) return known;
    let found = kinds.get(learned);
    if (found === undefined) {
      const numbers = numbersOf(learned);
      found = columns.map((column) => (Object.hasOwn(numbers, column) ? "number" : "json"));
      kinds.set(learned, found);
    }
    return found;
  };
  return {
    text: `a change of ${columns.join(" or ")}`,
    columns,
    needsBefore: false,
    asksColumns: shape.learns === true,
    holds: (event, learned) => {
      const of = kindsBy(learned);
      return columns.some((column, nth) => differs(event, column, of[nth] === "number"));
    },
  };
}

/** What the log says of the column goes first: it knows also what the two rows do not show. */
function differs(event: ChangeEvent, column: string, number: boolean): boolean {
  const { before, after, changed, unchanged, replaced } = event;
  if (unchanged?.includes(column) || changed?.includes(column) === false) return false;
  // Of a document that was replaced nobody knows: better once too often than never.
  if (before === null || after === null) return changed !== undefined || replaced === true;
  const [was, is] = [before as Row, after as Row].map((row) => (Object.hasOwn(row, column) ? row[column] : undefined));
  if (number) return !sameNumber(was, is);
  return changed !== undefined || !isDeepStrictEqual(was, is);
}

function sameNumber(one: unknown, other: unknown): boolean {
  if (isDeepStrictEqual(one, other)) return true;
  const [key, otherKey] = [one, other].map((value) => numberKey(value as Value, true, NO_WORK));
  return key !== undefined && key === otherKey;
}

/** A number went below a limit, or above one; both values are in the event. */
export function crossing(column: string, options: object, shape: EventShape, place: string): RowCondition {
  const { below, above, ...others } = options as { readonly below?: unknown; readonly above?: unknown };
  const kind = kindAt(`after.${column}`, shape, place);
  if (kind !== "number" && kind !== "json") throw invalid(`${place}: ${column} is no number`, "take `updated` for it");
  if (Object.hasOwn(others, "reset")) {
    throw invalid(
      `${place}: there is no reset yet: an event has the value before and after, and a reset has to remember more`,
      "leave it out: the automation starts each time that the limit is crossed",
    );
  }
  const [other] = Object.keys(others);
  if (other !== undefined) throw invalid(`${place}: there is no option ${other}`, "write below or above");
  if ((below === undefined) === (above === undefined))
    throw invalid(`${place} takes one of below and above`, "write { below: 10 } or { above: 10 }");
  const limit = boundOf(typeof (below ?? above) === "bigint" ? String(below ?? above) : (below ?? above), true);
  if (limit === undefined) throw invalid(`${place}: the limit is no number`, "write { below: 10 }");
  const isBeyond = (order: number): boolean => (below === undefined ? order > 0 : order < 0);
  return {
    text: `${column} going ${below === undefined ? "above" : "below"} a limit`,
    columns: [column],
    needsBefore: true,
    asksColumns: false,
    holds: ({ before, after }) => {
      const [was, is] = [orderOf(before, column, limit), orderOf(after, column, limit)];
      return was !== undefined && is !== undefined && !isBeyond(was) && isBeyond(is);
    },
  };
}

/** Undefined where there is no number. Who asks for a limit says that the column's texts are numbers. */
function orderOf(row: Row | null | Partial<Row>, column: string, limit: Bound): number | undefined {
  if (row === null || !Object.hasOwn(row, column)) return undefined;
  return compareTo(row[column] as Value, limit, true, NO_WORK);
}
