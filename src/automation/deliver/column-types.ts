// What the columns of events are, by the versions of their collections: each is read once.

import type { Bus } from "../../bus/bus.ts";
import type { Columns } from "../../event/column-kind.ts";
import { toldColumns } from "../../schema/told-columns.ts";

/** Versions kept in mind: a collection has few. */
const MOST_KEPT = 256;

export class ColumnTypes {
  readonly #schemas: Bus["schemas"];
  readonly #kept = new Map<string, Columns>();

  constructor({ schemas }: Pick<Bus, "schemas">) {
    this.#schemas = schemas;
  }

  /** Those of a version that was read before. */
  kept(version: string): Columns | undefined {
    return this.#kept.get(version);
  }

  /** Asks the bus; undefined for a version that it does not have. @throws TransientError while it is away */
  async read(version: string): Promise<Columns | undefined> {
    const columns = await toldColumns(this.#schemas, version);
    if (columns === undefined) return undefined;
    if (this.#kept.size >= MOST_KEPT) this.#kept.clear();
    this.#kept.set(version, columns);
    return columns;
  }
}
