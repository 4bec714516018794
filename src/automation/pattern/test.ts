// What all tests of values have in common.

/** A value at a path of an event. A bigint is what drizzle makes of a column. */
export type Value = string | number | bigint | boolean | null;

/** Counts what a match looks at: values, elements, characters. For the proof that it is linear, and costs next to nothing. */
export interface Work {
  steps: number;
}

/** Whether a value is one that the pattern allows. */
export type Test = (value: Value, work: Work) => boolean;

/** The same for texts alone. */
export type TextTest = (value: string, work: Work) => boolean;
