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
  /** How many places there are, how deep, and in how many arrays. */
  readonly places: number;
  readonly depth: number;
  readonly arrays: number;
}

/**
 * Walks an event once, along what the pattern asks for alone. A path is its names joined by dots, array indexes left out; an
 * empty object or array has no value, and an element of an array is a value of the array's own path. Only own members count.
 * It does not recurse: an event may be as deep as it likes.
 */
export function leavesOf(event: object, { root, fields }: Paths, work: Work): Leaves {
  const walk = new Walk(fields.size);
  walk.enter(event, root, undefined);
  walk.run();
  work.steps += walk.steps;
  return walk;
}

const NONE: readonly Leaf[] = [];

/** What is left to look at: an object or array, the step that it stands at, and the element that it is in. */
interface Waiting {
  readonly value: object;
  readonly step: PathStep;
  readonly place: Place | undefined;
}

class Walk implements Leaves {
  readonly of: (readonly Leaf[])[];
  places = 0;
  depth = 0;
  steps = 0;
  arrays = 0;
  readonly #waiting: Waiting[] = [];

  constructor(fields: number) {
    this.of = new Array<readonly Leaf[]>(fields).fill(NONE);
  }

  enter(value: unknown, step: PathStep, place: Place | undefined): void {
    this.steps++;
    if (typeof value === "object" && value !== null && !(value instanceof Date)) {
      this.#waiting.push({ value, step, place });
    } else if (step.field !== undefined && isValue(value)) {
      const leaf = { value: value instanceof Date ? textOf(value) : value, place };
      const known = this.of[step.field] as Leaf[];
      if (known.length === 0) this.of[step.field] = [leaf];
      else known.push(leaf);
    }
  }

  run(): void {
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) {
      const { value, step, place } = next;
      if (Array.isArray(value)) this.#elements(value, step, place);
      else this.#members(value as Readonly<Record<string, unknown>>, step, place);
    }
  }

  #members(value: Readonly<Record<string, unknown>>, { next }: PathStep, place: Place | undefined): void {
    for (const { name, step } of next) {
      this.steps++;
      if (Object.hasOwn(value, name)) this.enter(value[name], step, place);
    }
  }

  #elements(values: readonly unknown[], step: PathStep, parent: Place | undefined): void {
    const array = step.binds ? this.arrays++ : 0;
    for (let index = 0; index < values.length; index++) {
      const element = values[index];
      // Only objects bind the fields inside them to one element: a plain value stands for itself.
      const binds = step.binds && typeof element === "object" && element !== null;
      this.enter(element, step, binds ? this.#place(step.path, array, index, parent) : parent);
    }
  }

  #place(path: string, array: number, index: number, parent: Place | undefined): Place {
    const depth = (parent?.depth ?? 0) + 1;
    this.depth = Math.max(this.depth, depth);
    return { id: this.places++, parent, depth, array, index, path };
  }
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
