// The values of an event at the fields that a pattern asks for, each with the array elements that it is in.

import type { PathStep, Paths } from "./paths.ts";
import type { Value, Work } from "./test.ts";

/** An element of an array whose objects bind fields together. */
export interface Place {
  readonly id: number;
  /** The element that it stands in. */
  readonly parent: Place | undefined;
  readonly depth: number;
  /** Tells arrays of one event apart. */
  readonly array: number;
  readonly index: number;
  /** The path of the array. */
  readonly path: string;
}

export interface Leaf {
  readonly value: Value;
  readonly place: Place | undefined;
}

export interface Leaves {
  /** By the field's number. */
  readonly of: readonly (readonly Leaf[])[];
  /** How many places there are, and how deep. */
  readonly places: number;
  readonly depth: number;
}

/**
 * Walks an event once, along what the pattern asks for alone. A path is its names joined by dots, array indexes left out; an
 * empty object or array has no value, and an element of an array is a value of the array's own path. Only own members count.
 * It does not recurse: an event may be as deep as it likes.
 */
export function leavesOf(event: object, { root, fields }: Paths, work: Work): Leaves {
  const of: Leaf[][] = Array.from(fields, () => []);
  let [arrays, places, deepest] = [0, 0, 0];
  const waiting: { readonly value: unknown; readonly step: PathStep; readonly place: Place | undefined }[] = [];
  const enter = (value: unknown, step: PathStep, place: Place | undefined): void => {
    work.steps++;
    if (typeof value === "object" && value !== null && !(value instanceof Date)) {
      waiting.push({ value, step, place });
    } else if (step.field !== undefined && isValue(value)) {
      (of[step.field] as Leaf[]).push({ value: value instanceof Date ? textOf(value) : value, place });
    }
  };
  enter(event, root, undefined);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { value, step, place } = next;
    if (Array.isArray(value)) {
      const array = arrays++;
      for (const [index, element] of value.entries()) {
        // Only objects bind the fields inside them to one element: a plain value stands for itself.
        if (!step.binds || typeof element !== "object" || element === null) enter(element, step, place);
        else {
          const inside = { id: places++, parent: place, depth: (place?.depth ?? 0) + 1, array, index, path: step.path };
          deepest = Math.max(deepest, inside.depth);
          enter(element, step, inside);
        }
      }
    } else {
      for (const [name, to] of step.next) {
        work.steps++;
        if (Object.hasOwn(value as object, name)) enter((value as Record<string, unknown>)[name], to, place);
      }
    }
  }
  return { of, places, depth: deepest };
}

function isValue(value: unknown): value is Value | Date {
  if (value === null || value instanceof Date) return true;
  const type = typeof value;
  return type === "string" || type === "number" || type === "boolean" || type === "bigint";
}

/** As JSON has it; of a date that is none, null. */
function textOf(date: Date): string | null {
  return date.toJSON();
}
