// Reads a pattern into its alternatives, and refuses what could not mean what its author thinks.

import { nearest } from "../../config/nearest.ts";
import { type Clause, parseClause } from "./clause.ts";
import { anyColumn, kindAt } from "./columns.ts";
import { OPERATOR_NAMES } from "./condition.ts";
import type { EventShape } from "./event-shape.ts";
import { invalidPattern, memberOf } from "./invalid-pattern.ts";
import { checkSize } from "./limits.ts";

/** The clauses of one alternative by their paths; all must hold. */
type Clauses = ReadonlyMap<string, Clause>;

/** Alternatives grow by multiplication where several `$or` stand side by side. */
const MOST_ALTERNATIVES = 1000;

/** Names that a field cannot have below `$or`: there they are taken for an operator that is out of place. */
const RESERVED_BELOW_OR: ReadonlySet<string> = new Set([
  ...OPERATOR_NAMES,
  ..."< <= = > >= regex not-wildcard not-equals-ignore-case ip-address-in-range".split(" "),
  ..."date-after date-on-or-after date-before date-on-or-before in-date-range".split(" "),
]);

/** Where the reader is. */
interface Position {
  /** The names so far, joined by dots; undefined at the top. */
  readonly path: string | undefined;
  readonly place: string;
  readonly belowOr: boolean;
}

/**
 * The alternatives of a pattern, each with its clauses; the pattern matches where one of them does.
 * @param shape what is known of the events
 * @param place what errors call the pattern itself
 * @throws ConfigError `PATTERN_INVALID`
 */
export function parsePattern(pattern: unknown, shape: EventShape, place: string): readonly (readonly Clause[])[] {
  checkSize(pattern, place);
  const top: Position = { path: undefined, place, belowOr: false };
  return readFields(pattern, top, [new Map()], shape).map((clauses) => [...clauses.values()]);
}

/** The alternatives so far, each with these fields too; a path that comes again replaces what was said of it. */
function readFields(pattern: unknown, at: Position, before: readonly Clauses[], shape: EventShape): readonly Clauses[] {
  if (typeof pattern !== "object" || pattern === null || Array.isArray(pattern)) {
    throw invalidPattern(at.place, "expected an object", 'write it like an event: { after: { status: ["paid"] } }');
  }
  const members = Object.entries(pattern);
  if (members.length === 0) throw invalidPattern(at.place, "is empty", "name at least one field, or leave it out");
  let alternatives = before;
  for (const [name, value] of members) {
    alternatives =
      name === "$or" ? readOr(value, at, alternatives, shape) : readField(name, value, at, alternatives, shape);
  }
  return alternatives;
}

function readField(
  name: string,
  value: unknown,
  at: Position,
  before: readonly Clauses[],
  shape: EventShape,
): readonly Clauses[] {
  const path = at.path === undefined ? name : `${at.path}.${name}`;
  const place = memberOf(at.place, name);
  if (at.path === undefined) refuseUnknownField(name, place, shape);
  if (at.belowOr && RESERVED_BELOW_OR.has(name)) {
    throw invalidPattern(
      place,
      "an operator stands where a field's name belongs",
      `write ["..."] or [{ "${name}": ... }]`,
    );
  }
  if (Array.isArray(value)) {
    const clause = parseClause(value, path, { place, kind: kindAt(path, shape, place), learns: shape.learns ?? false });
    return before.map((one) => new Map([...one, [path, clause]]));
  }
  if (typeof value === "object" && value !== null) return readFields(value, { ...at, path, place }, before, shape);
  throw invalidPattern(place, "expected a list of what it may be", `write [${JSON.stringify(value) ?? "..."}]`);
}

function readOr(value: unknown, at: Position, before: readonly Clauses[], shape: EventShape): readonly Clauses[] {
  const place = memberOf(at.place, "$or");
  if (!Array.isArray(value) || value.length < 2) {
    throw invalidPattern(place, "expected a list of two patterns or more", "write $or: [{ ... }, { ... }]");
  }
  const alternatives: Clauses[] = [];
  const refused: unknown[] = [];
  for (const [nth, branch] of value.entries()) {
    const inside: Position = { ...at, place: `${place}[${nth}]`, belowOr: true };
    try {
      alternatives.push(...readFields(branch, inside, before, shape));
    } catch (error) {
      if (!fitsAnother(branch, inside, before, shape)) throw error;
      refused.push(error);
      alternatives.push(
        ...readFields(branch, inside, before, { ...shape, fields: undefined, row: anyColumn(shape.row) }),
      );
    }
    if (alternatives.length > MOST_ALTERNATIVES) {
      throw invalidPattern(
        place,
        `makes more than ${MOST_ALTERNATIVES} alternatives`,
        "put values into one list instead of $or, or make two automations of it",
      );
    }
  }
  // A trigger that no branch is for would never start the handler.
  if (refused.length === value.length) throw refused[0];
  return alternatives;
}

/** Whether a branch is for the events of another trigger of the same list. */
function fitsAnother(branch: unknown, at: Position, before: readonly Clauses[], { others = [] }: EventShape): boolean {
  return others.some((other) => {
    try {
      return readFields(branch, at, before, other).length > 0;
    } catch {
      return false;
    }
  });
}

/** A field that no such event has: `Status` for `status`, `afer` for `after`. */
function refuseUnknownField(name: string, place: string, { fields }: EventShape): void {
  const field = name.split(".", 1)[0] as string;
  if (fields === undefined || fields.includes(field)) return;
  const meant = nearest(field, fields);
  throw invalidPattern(
    place,
    `no such event has a field "${field}"`,
    meant === undefined ? `the fields are ${fields.join(", ")}` : `did you mean "${meant}"?`,
  );
}
