// Triggers on a table that is declared with drizzle: events carry what drizzle's own queries give.

import type { InferSelectModel, Table } from "drizzle-orm";
import { ConfigError, PoisonError } from "../errors.ts";
import type { ChangeEvent } from "../event/change-event.ts";
import { formatCollectionName } from "../event/collection-name.ts";
import { type Collection, collection } from "./collection.ts";

type Json = Readonly<Record<string, unknown>>;

/** What drizzle keeps of a column; read by name, so that whichever drizzle an application has loaded is understood. */
interface DrizzleColumn {
  readonly name: string;
  readonly dataType: string;
  readonly columnType: string;
  readonly baseColumn?: DrizzleColumn;
  getSQLType(): string;
  mapFromDriverValue(value: unknown): unknown;
}

interface Property {
  readonly property: string;
  readonly column: DrizzleColumn;
}

const DEFAULT_SCHEMA = "public";
const drizzle = (what: string): symbol => Symbol.for(`drizzle:${what}`);

/** Of a table whose columns say that they are its primary key; one that is declared apart can be any part of the row. */
type KeyOf<T extends Table> = [PrimaryKey<T>] extends [never]
  ? Readonly<Partial<InferSelectModel<T>>> | null
  : Readonly<Pick<InferSelectModel<T>, PrimaryKey<T>>>;

type PrimaryKey<T extends Table> = {
  [Name in keyof T["_"]["columns"] &
    keyof InferSelectModel<T>]: T["_"]["columns"][Name]["_"]["isPrimaryKey"] extends true ? Name : never;
}[keyof T["_"]["columns"] & keyof InferSelectModel<T>];

/**
 * The changes of a drizzle table: `fromDrizzle("shop", orders).created()`. Rows, keys and names of columns are as
 * drizzle's `$inferSelect` has them: its property names, bigint, Date. Columns that the table does not declare are left
 * out. Names of columns are those of the declaration: drizzle's option `casing` is not known here.
 * @param options `raw: true`: as the events have them instead, by the database's names
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function fromDrizzle<T extends Table>(source: string, table: T): Collection<InferSelectModel<T>, KeyOf<T>>;
export function fromDrizzle(source: string, table: Table, options: { readonly raw: true }): Collection<Json>;
export function fromDrizzle(
  source: string,
  table: Table,
  { raw = false }: { raw?: boolean } = {},
): Collection<unknown> {
  const kept = table as unknown as Readonly<Record<symbol, unknown>>;
  const name = kept[drizzle("Name")];
  const columns = kept[drizzle("Columns")] as Readonly<Record<string, DrizzleColumn>> | undefined;
  if (typeof name !== "string" || columns === undefined) {
    throw new ConfigError("AUTOMATION_INVALID", "what fromDrizzle was given is no drizzle table", {
      hint: "give it what pgTable() returned",
    });
  }
  const namespace = (kept[drizzle("Schema")] as string | undefined) ?? DEFAULT_SCHEMA;
  const full = formatCollectionName({ namespace, collection: name });
  if (raw) return collection(source, full);
  const properties = new Map(
    Object.entries(columns).map(([property, column]) => [column.name, { property, column }] as const),
  );
  return collection(source, full, (event) => decodeEvent(event, properties));
}

function decodeEvent(event: ChangeEvent, properties: ReadonlyMap<string, Property>): ChangeEvent {
  const row = (values: Json | null): Json | null => (values === null ? null : decodeRow(values, properties));
  const names = (columns: readonly string[]): readonly string[] =>
    columns.flatMap((name) => properties.get(name)?.property ?? []);
  return {
    ...event,
    key: row(event.key),
    before: row(event.before),
    after: row(event.after),
    ...(event.changed && { changed: names(event.changed) }),
    ...(event.unchanged && { unchanged: names(event.unchanged) }),
    ...(event.enriched && { enriched: { ...event.enriched, columns: names(event.enriched.columns) } }),
    ...(event.movedTo && { movedTo: decodeRow(event.movedTo, properties) }),
    ...(event.movedFrom && { movedFrom: decodeRow(event.movedFrom, properties) }),
  };
}

function decodeRow(values: Json, properties: ReadonlyMap<string, Property>): Json {
  const row: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) {
    const known = properties.get(name);
    if (known !== undefined) row[known.property] = decodeValue(known.column, value);
  }
  return row;
}

/** @throws PoisonError ROW_NOT_AS_DECLARED */
function decodeValue(column: DrizzleColumn, value: unknown): unknown {
  if (value === null) return null;
  try {
    return drizzleValue(column, value);
  } catch {
    // The cause is left out: it may quote the value.
    throw new PoisonError("ROW_NOT_AS_DECLARED", `the column ${column.name} holds no ${column.columnType}`, {
      hint: "the drizzle table must be what the database has; a masked column needs raw: true",
    });
  }
}

function drizzleValue(column: DrizzleColumn, value: unknown): unknown {
  switch (column.dataType) {
    case "bigint":
      return BigInt(value as string);
    case "number":
      return Number(value);
    case "date":
      return new Date(isZoned(value) || column.columnType === "PgDate" ? (value as string) : `${value as string}Z`);
    case "array":
      if (column.baseColumn !== undefined) return elements(column.baseColumn, value);
      // A vector is an array already; a point or a line comes as text.
      return typeof value === "string" ? column.mapFromDriverValue(value) : value;
    case "custom":
      return column.mapFromDriverValue(
        column.getSQLType() === "bytea" ? Buffer.from(value as string, "base64") : value,
      );
    case "json":
      // A point as an object comes as text; json itself is a value already.
      return column.columnType.startsWith("PgJson") ? value : column.mapFromDriverValue(value);
    default:
      return column.columnType === "PgTimestampString" ? printed(value as string) : value;
  }
}

function elements(column: DrizzleColumn, value: unknown): unknown {
  if (!Array.isArray(value)) return value === null ? null : drizzleValue(column, value);
  return value.map((element) => elements(column, element));
}

function isZoned(value: unknown): boolean {
  return typeof value === "string" && (value.endsWith("Z") || value.endsWith("infinity"));
}

/** As Postgres prints it, which is what drizzle gives. */
function printed(value: string): string {
  return value.replace("T", " ").replace(/Z$/, "+00");
}
