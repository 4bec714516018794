// What `millrace types` writes for a source: its rows as TypeScript, with a typed trigger for each, and as JSON Schema.

import type { CollectionSchema, ColumnSchema, JsonSchema } from "../event/collection-schema.ts";
import type { SourceId } from "../event/source-id.ts";
import { propertyName, typeText } from "./type-text.ts";

/** Collections of this namespace go by their bare names. */
const DEFAULT_NAMESPACE = "public";

/** The same for the same tables, whatever was asked before: by file name. */
export function typeFiles(source: SourceId, collections: readonly CollectionSchema[]): ReadonlyMap<string, string> {
  const sorted = [...collections].sort((a, b) => (fullName(a) < fullName(b) ? -1 : 1));
  return new Map([
    [`${source}.ts`, typeScript(source, sorted)],
    [`${source}.schema.json`, `${JSON.stringify(jsonSchema(sorted), null, 2)}\n`],
  ]);
}

function typeScript(source: SourceId, collections: readonly CollectionSchema[]): string {
  const names = new Names();
  const named = collections.map((collection) => ({ collection, type: names.typeOf(collection) }));
  const keys = new Set(named.map(({ collection }) => keyOf(collection)));
  const interfaces = named.map(
    ({ collection, type }) =>
      `/** A row of \`${fullName(collection)}\`. */\nexport interface ${type} {\n${collection.columns.map(member).join("")}}\n`,
  );
  const members = named.map(({ collection, type }) => {
    const key = keys.size === named.length ? keyOf(collection) : fullName(collection);
    return `  ${propertyName(key)}: collection<${type}>(${JSON.stringify(source)}, ${JSON.stringify(fullName(collection))}),\n`;
  });
  return [
    "// Written by `millrace types`: do not edit.\n",
    'import { collection } from "millrace";\n',
    ...interfaces,
    `/** The tables of the source \`${source}\`. */\nexport const ${source} = {\n${members.join("")}} as const;\n`,
  ].join("\n");
}

function member(column: ColumnSchema): string {
  const type = typeText(rowValue(column));
  return `  /** ${column.type.replaceAll("*/", "* /")} */\n  readonly ${propertyName(column.name)}: ${type};\n`;
}

function jsonSchema(collections: readonly CollectionSchema[]): JsonSchema {
  const rows = collections.map((collection) => {
    const properties = Object.fromEntries(collection.columns.map((column) => [column.name, rowValue(column)]));
    const required = collection.columns.map(({ name }) => name);
    return [fullName(collection), { type: "object", properties, required, additionalProperties: false }] as const;
  });
  return { $schema: "https://json-schema.org/draft/2020-12/schema", $defs: Object.fromEntries(rows) };
}

/** A column's value, null where it may be. */
function rowValue({ value, nullable }: ColumnSchema): JsonSchema {
  if (nullable === false || Object.keys(value).length === 0) return value;
  return { anyOf: [value, { type: "null" }] };
}

function keyOf({ namespace, collection }: CollectionSchema): string {
  return namespace === DEFAULT_NAMESPACE ? collection : `${namespace}.${collection}`;
}

function fullName({ namespace, collection }: CollectionSchema): string {
  return `${namespace}.${collection}`;
}

/** Names of types, each once. */
class Names {
  readonly #used = new Set<string>();

  typeOf(collection: CollectionSchema): string {
    const words = keyOf(collection).split(/[^A-Za-z0-9]+/);
    const pascal = words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join("");
    const base = /^[A-Za-z]/.test(pascal) ? pascal : `Table${pascal}`;
    let name = base;
    for (let nth = 2; this.#used.has(name); nth++) name = `${base}${nth}`;
    this.#used.add(name);
    return name;
  }
}
