// What a SELECT sees of a database whose commits are in its log before they can be seen: for a moment, in an order of their own. Two that
// write the same row wait for each other, as they do for a row's lock.

import type { Random } from "../bus/scripted-bus.ts";

/** A row of a collection as it is from then on; undefined: it is gone; without a key: none is left. */
export interface Effect<Row> {
  readonly collection: string;
  readonly key: string | undefined;
  readonly row: Row | undefined;
}

interface Commit<Row> {
  readonly id: string;
  readonly effects: readonly Effect<Row>[];
}

export class ShownRows<Row> {
  readonly #random: Random;
  readonly #late: number;
  readonly #rows: ReadonlyMap<string, Map<string, Row>>;
  #pending: readonly Commit<Row>[] = [];

  /**
   * @param rows of each collection, as all see them
   * @param late how often a commit cannot be seen whenever somebody looks
   */
  constructor(random: Random, rows: ReadonlyMap<string, ReadonlyMap<string, Row>>, late: number) {
    this.#random = random;
    this.#late = late;
    this.#rows = new Map([...rows].map(([name, own]) => [name, new Map(own)]));
  }

  commit(id: string, effects: readonly Effect<Row>[]): void {
    this.#pending = [...this.#pending, { id, effects }];
  }

  /** Time goes on. */
  show(): void {
    const hidden: Commit<Row>[] = [];
    for (const commit of this.#pending) {
      if ((this.#late > 0 && this.#random.chance(this.#late)) || hidden.some((other) => areAtOdds(other, commit)))
        hidden.push(commit);
      else for (const effect of commit.effects) this.#apply(effect);
    }
    this.#pending = hidden;
  }

  of(collection: string): ReadonlyMap<string, Row> {
    return this.#rows.get(collection) ?? new Map();
  }

  /** Ids of those that cannot be seen. */
  get hidden(): ReadonlySet<string> {
    return new Set(this.#pending.map(({ id }) => id));
  }

  #apply({ collection, key, row }: Effect<Row>): void {
    const rows = this.#rows.get(collection);
    if (key === undefined) rows?.clear();
    else if (row === undefined) rows?.delete(key);
    else rows?.set(key, row);
  }
}

function areAtOdds<Row>(one: Commit<Row>, other: Commit<Row>): boolean {
  return one.effects.some(({ collection, key }) =>
    other.effects.some(
      (effect) =>
        effect.collection === collection && (key === undefined || effect.key === undefined || effect.key === key),
    ),
  );
}
