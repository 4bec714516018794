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
export function kindAt(path: string, { row, learns = false }: KnownRow, place: string): ColumnKind {
  const column = columnIn(path);
  if (row === undefined || column === undefined) return "json";
  if (!learns) return kindIn(column, row, place);
  return Object.hasOwn(row.columns, column) ? (row.columns[column] as ColumnKind) : "json";
}

/** What `kindAt` goes by. @see EventShape */
interface KnownRow {
  readonly row?: RowShape | undefined;
  readonly learns?: boolean;
}

/** What follows the member of the event that holds columns: `total` of `after.total`; undefined for what is no column. */
export function columnIn(path: string): string | undefined {
  const dot = path.indexOf(".");
  return dot < 0 || !ROWS.has(path.slice(0, dot)) ? undefined : path.slice(dot + 1);
}

/** Those that are numbers, also inside of others: all that changes how the texts of an event are compared. By their paths. */
export function numbersOf(columns: Columns, before = ""): Columns {
  const found = Object.entries(columns).flatMap(([name, kind]): (readonly [string, ColumnKind])[] => {
    if (kind === "number") return [[`${before}${name}`, kind]];
    return typeof kind === "object" && !isLabels(kind) ? Object.entries(numbersOf(kind, `${before}${name}.`)) : [];
  });
  return Object.fromEntries(found);
}

/** The same row, where a pattern may name other columns and labels too: what is said of the known ones is compared as ever. */
export function anyColumn(row: RowShape | undefined): RowShape | undefined {
  if (row === undefined) return undefined;
  const kinds = Object.entries(row.columns).map(([name, kind]) => [name, isLabels(kind) ? "text" : kind] as const);
  return { columns: Object.fromEntries(kinds), open: true };
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
