// A pattern over events that may tell themselves what their columns are: compiled once for each version of the columns.

import type { Columns } from "../../event/column-kind.ts";
import { columnIn, numbersOf } from "./columns.ts";
import { type CompiledPattern, compile, matches } from "./compile-pattern.ts";
import { decimalOf } from "./decimal.ts";
import type { EventShape } from "./event-shape.ts";

export class LearningPattern {
  /** By what is known before an event has come. */
  readonly compiled: CompiledPattern;
  /** Whether it may come out otherwise once the columns are known: one of them is compared with a number. */
  readonly asksColumns: boolean;
  /** The columns that it names, with what is inside of them, `address.city`; none where they are known before an event has come. */
  readonly columns: readonly string[];
  readonly #pattern: unknown;
  readonly #shape: EventShape;
  readonly #place: string;
  readonly #learned = new WeakMap<Columns, CompiledPattern>();

  /** @param place what errors call the pattern: `receipt: where` @throws ConfigError `PATTERN_INVALID` */
  constructor(pattern: unknown, shape: EventShape, place: string) {
    this.#pattern = pattern;
    this.#shape = shape;
    this.#place = place;
    this.compiled = compile(pattern, shape, place);
    const clauses = this.compiled.rules.flatMap((rule) => rule.map(({ clause }) => clause));
    const named = shape.learns === true ? clauses.flatMap(({ path }) => columnIn(path) ?? []) : [];
    this.columns = [...new Set(named)];
    this.asksColumns =
      shape.learns === true && clauses.some(({ path, list }) => columnIn(path) !== undefined && hasNumber(list));
  }

  /** @param columns what the event's own schema says of them; undefined where it names none */
  of(columns: Columns | undefined): CompiledPattern {
    if (columns === undefined || !this.asksColumns) return this.compiled;
    let compiled = this.#learned.get(columns);
    if (compiled === undefined) {
      const row = { columns: numbersOf(columns), open: true };
      compiled = compile(this.#pattern, { ...this.#shape, row }, this.#place);
      this.#learned.set(columns, compiled);
    }
    return compiled;
  }

  /** @throws PoisonError `PATTERN_AMBIGUOUS` */
  matches(event: unknown, columns: Columns | undefined): boolean {
    return matches(this.of(columns), event);
  }
}

/** Whether something in a list stands for a number: also a text, which may be one in a column of numbers. */
function hasNumber(item: unknown): boolean {
  if (typeof item === "object" && item !== null) return Object.values(item).some(hasNumber);
  return typeof item === "number" || (typeof item === "string" && decimalOf(item) !== undefined);
}
