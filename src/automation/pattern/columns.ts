// What a pattern may know of a row: its columns and how their values stand in events.

import { nearest } from "../../config/nearest.ts";
import type { ColumnKind, Columns } from "../../event/column-kind.ts";
import { invalidPattern } from "./invalid-pattern.ts";

/** What is known of a row before one has come. */
export interface RowShape {
  readonly columns: Columns;
  /** Whether a row may have other columns too, as a document may. */
  readonly open?: boolean;
}

/** Members of a change event that hold columns of its row. */
const ROWS: ReadonlySet<string> = new Set(["key", "before", "after", "movedTo", "movedFrom"]);

/**
 * What the values at a path are.
 * @param path names joined by dots, from the event on: `after.total`
 * @throws ConfigError `PATTERN_INVALID` for a column that the row does not have
 */
export function kindAt(path: string, row: RowShape | undefined, place: string): ColumnKind {
  const dot = path.indexOf(".");
  if (row === undefined || dot < 0 || !ROWS.has(path.slice(0, dot))) return "json";
  return kindIn(path.slice(dot + 1), row, place);
}

function kindIn(path: string, { columns, open = false }: RowShape, place: string): ColumnKind {
  if (Object.hasOwn(columns, path)) return columns[path] as ColumnKind;
  const names = Object.keys(columns);
  const name = names.filter((one) => path.startsWith(`${one}.`)).sort((a, b) => b.length - a.length)[0];
  if (name === undefined) {
    if (open) return "json";
    const meant = nearest(path, names);
    throw invalidPattern(
      place,
      `there is no column "${path}"`,
      meant === undefined ? `the columns are ${names.join(", ")}` : `did you mean "${meant}"?`,
    );
  }
  const kind = columns[name] as ColumnKind;
  if (kind === "json") return kind;
  if (typeof kind === "object" && !isLabels(kind)) return kindIn(path.slice(name.length + 1), { columns: kind }, place);
  throw invalidPattern(place, `the column "${name}" has no fields`, `say what it may be: { "${name}": [...] }`);
}

export function isLabels(kind: ColumnKind): kind is readonly string[] {
  return Array.isArray(kind);
}
