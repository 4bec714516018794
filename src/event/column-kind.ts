// How a column's values stand in events, as far as it matters to what compares them.

/**
 * `number`, also where events have a text for it (numeric, bigint, Decimal128); `text`; `boolean`; the labels of an enum; `json`
 * for what may be anything; or the members of an object that has a fixed form. Of an array it is what its elements are. Null is
 * always possible.
 */
export type ColumnKind = "number" | "text" | "boolean" | "json" | readonly string[] | Columns;

/** The columns of a row by their names. */
export interface Columns {
  readonly [name: string]: ColumnKind;
}
