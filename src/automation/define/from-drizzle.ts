// Triggers on a table that is declared with drizzle: events carry what drizzle's own queries give.

import { ConfigError, PoisonError } from "../../errors.ts";
import type { ChangeEvent } from "../../event/change-event.ts";
import { formatCollectionName } from "../../event/collection-name.ts";
import type { Columns } from "../../event/column-kind.ts";
import { type Collection, collection, decodedCollection } from "./collection.ts";
import { drizzleJson } from "./drizzle-json.ts";
import { drizzleKind } from "./drizzle-kind.ts";
import { type DrizzleColumn, drizzleValue } from "./drizzle-value.ts";

type Json = Readonly<Record<string, unknown>>;

interface Property {
  readonly property: string;
  readonly column: DrizzleColumn;
}

const DEFAULT_SCHEMA = "public";
const drizzle = (what: string): symbol => Symbol.for(`drizzle:${what}`);

/**
 * What the types of a table say, read by name: an application may have another drizzle than ours, and its own files need not be
 * sound (they are not, without the drivers of all databases) for a worker without drizzle to be checked.
 */
interface DrizzleTable {
  readonly $inferSelect: object;
  readonly _: { readonly columns: Readonly<Record<string, { readonly _: { readonly isPrimaryKey: boolean } }>> };
}

/** The key of a table whose columns say that they are its primary key; one that is declared apart can be any part of the row. */
type KeyOf<T extends DrizzleTable> = [PrimaryKey<T>] extends [never]
  ? Readonly<Partial<T["$inferSelect"]>> | null
  : Readonly<Pick<T["$inferSelect"], PrimaryKey<T>>>;

type PrimaryKey<T extends DrizzleTable> = {
  [Name in keyof T["_"]["columns"] & keyof T["$inferSelect"]]: T["_"]["columns"][Name]["_"]["isPrimaryKey"] extends true
    ? Name
    : never;
}[keyof T["_"]["columns"] & keyof T["$inferSelect"]];

/**
 * The changes of a drizzle table: `fromDrizzle("shop", orders).created()`. Rows, keys and names of columns are as
 * drizzle's own select gives them: its property names, bigint, Date. Columns that the table does not declare are left out.
 * One that is declared without a name is found by either spelling that drizzle's option `casing` may give it. A worker does not
 * start with one that has a composite type in the database: drizzle's select gives text there, and events an object.
 * @param options `raw: true`: as the events have them instead, by the database's names
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function fromDrizzle<T extends DrizzleTable>(source: string, table: T): Collection<T["$inferSelect"], KeyOf<T>>;
export function fromDrizzle(source: string, table: DrizzleTable, options: { readonly raw: true }): Collection<Json>;
export function fromDrizzle(source: string, table: DrizzleTable, { raw = false }: { raw?: boolean } = {}): unknown {
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
  const properties = propertiesOf(columns);
  if (raw) return collection(source, full, { columns: kindsOf(properties), open: true });
  return decodedCollection(source, full, {
    decode: (event) => decodeEvent(event, properties),
    columns: Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, drizzleKind(column)])),
    properties: new Map([...properties].map(([column, { property }]) => [column, property])),
    encode: (row) => encodeRow(row, columns),
    key: keyOf(columns),
  });
}

/** The properties of the key, where the columns themselves say that they are it. */
function keyOf(columns: Readonly<Record<string, DrizzleColumn>>): readonly string[] | undefined {
  const names = Object.keys(columns).filter((property) => columns[property]?.primary === true);
  return names.length === 0 ? undefined : names;
}

/** A row as drizzle has it, by the names and the values that the database's events have. @throws ConfigError `TESTING_VALUE` */
function encodeRow(row: Json, columns: Readonly<Record<string, DrizzleColumn>>): Json {
  return Object.fromEntries(
    Object.entries(row).flatMap(([property, value]) => {
      const column = Object.hasOwn(columns, property) ? columns[property] : undefined;
      if (column === undefined) throw noColumn(property);
      return value === undefined ? [] : [[column.name, drizzleJson(column, value)]];
    }),
  );
}

function noColumn(property: string): ConfigError {
  return new ConfigError("TESTING_VALUE", `the drizzle table declares no ${property}, which a given row has`, {
    hint: "name the properties of the drizzle table",
  });
}

/** By all names that a column may have in the database. */
function kindsOf(properties: ReadonlyMap<string, Property>): Columns {
  return Object.fromEntries([...properties].map(([name, { column }]) => [name, drizzleKind(column)]));
}

/** The property of each column by its name, and of one that has none of its own by the names that `casing` gives it, where they are free. */
function propertiesOf(columns: Readonly<Record<string, DrizzleColumn>>): ReadonlyMap<string, Property> {
  const all = Object.entries(columns).map(([property, column]) => ({ property, column }));
  const properties = new Map(all.map((one) => [one.column.name, one]));
  for (const one of all) {
    if (one.column.keyAsName !== true) continue;
    for (const name of casings(one.column.name)) if (!properties.has(name)) properties.set(name, one);
  }
  return properties;
}

/** The same name in snake_case and in camelCase, as drizzle splits it into words. */
function casings(name: string): readonly string[] {
  const words = name.replace(/['\u2019]/g, "").match(/[\da-z]+|[A-Z]+(?![a-z])|[A-Z][\da-z]+/g) ?? [];
  const camel = words.map((word, nth) =>
    nth === 0 ? word.toLowerCase() : `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`,
  );
  return [words.map((word) => word.toLowerCase()).join("_"), camel.join("")];
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
    if (known === undefined || (name !== known.column.name && known.column.name in values)) continue;
    row[known.property] = decodeValue(known.column, value);
  }
  return row;
}

/** @throws PoisonError ROW_NOT_AS_DECLARED */
function decodeValue(column: DrizzleColumn, value: unknown): unknown {
  if (value === null) return null;
  try {
    return drizzleValue(column, value);
  } catch {
    // A column of a composite type has been refused at the start, if it was one then. The cause is left out: it may quote the value.
    throw new PoisonError("ROW_NOT_AS_DECLARED", `the column ${column.name} holds no ${column.columnType}`, {
      hint: "the drizzle table must be what the database has; a masked column, or one of a composite type, needs raw: true",
    });
  }
}
