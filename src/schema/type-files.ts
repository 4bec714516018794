// What `millrace types` writes for a source: its rows or documents as TypeScript, with a typed trigger for each, and as JSON Schema.

import { formatCollectionName } from "../event/collection-name.ts";
import type { CollectionSchema, ColumnSchema, DocumentsSchema, JsonSchema } from "../event/collection-schema.ts";
import type { ColumnKind } from "../event/column-kind.ts";
import type { SourceId } from "../event/source-id.ts";
import { columnKind } from "./column-kinds.ts";

/** Collections of this namespace go by their bare names. */
const DEFAULT_NAMESPACE = "public";

const NESTED = `/** An array in one or more dimensions: Postgres does not hold a column to those it was declared with. */
export type Nested<Element> = readonly (Element | Nested<Element>)[];
`;

/** The same for the same tables, whatever was asked before: by file name. */
export function typeFiles(source: SourceId, collections: readonly CollectionSchema[]): ReadonlyMap<string, string> {
  const sorted = [...collections].sort((a, b) => (formatCollectionName(a) < formatCollectionName(b) ? -1 : 1));
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
      `${rowComment(collection)}\nexport interface ${type} {\n${collection.columns.map(member).join("")}${anyMember(collection)}}\n`,
  );
  const members = named.map(({ collection, type }) => {
    const key = keys.size === named.length ? keyOf(collection) : formatCollectionName(collection);
    return `  ${propertyName(key)}: collection<${typeArguments(type, collection)}>(${JSON.stringify(source)}, ${JSON.stringify(formatCollectionName(collection))}${optionsText(collection)}),\n`;
  });
  return [
    "// Written by `millrace types`: do not edit.\n",
    'import { collection } from "millrace";\n',
    ...(named.some(({ collection }) => collection.columns.some(isNested)) ? [NESTED] : []),
    ...interfaces,
    `/** The ${collections.some(({ documents }) => documents && !documents.noun) ? "collections" : "tables"} of the source \`${source}\`. */\nexport const ${constantName(source)} = {\n${members.join("")}} as const;\n`,
  ].join("\n");
}

function rowComment({ documents, ...collection }: CollectionSchema): string {
  const name = `\`${comment(formatCollectionName(collection))}\``;
  return documents === undefined
    ? `/** A row of ${name}. */`
    : `/** ${one(documents)} of ${name}, ${comment(documents.origin)}. */`;
}

function one({ noun }: DocumentsSchema): string {
  return noun === "item" ? "An item" : "A document";
}

function anyMember({ documents }: CollectionSchema): string {
  return documents?.anyMember ? "  readonly [attribute: string]: unknown;\n" : "";
}

/** The row, its key, the columns that an update may lack, and of documents that an update may come without one. */
function typeArguments(type: string, { key, columns, documents }: CollectionSchema): string {
  const names = (of: readonly string[]): string => of.map((name) => JSON.stringify(name)).join(" | ");
  const omissible = columns.filter((column) => column.omissible).map(({ name }) => name);
  const keyType = key.length === 0 ? "null" : `Pick<${type}, ${names(key)}>`;
  if (documents !== undefined && !documents.hasAfter) return [type, keyType, "never", `${type} | null`].join(", ");
  return [type, keyType, ...(omissible.length === 0 ? [] : [names(omissible)])].join(", ");
}

/** What patterns may know of the columns. Of documents that are not held to a form only where texts are numbers. */
function optionsText({ columns, documents }: CollectionSchema): string {
  const open = documents?.open ?? false;
  const kinds = columns
    .map(({ name, value }) => [name, columnKind(value)] as const)
    .filter(([, kind]) => !open || kind === "number");
  if (kinds.length === 0) return "";
  return `, {\n    columns: ${kindsText(kinds)},\n${open ? "    open: true,\n" : ""}  }`;
}

function kindsText(kinds: readonly (readonly [string, ColumnKind])[]): string {
  const members = kinds.map(([name, kind]) => {
    // Written as a plain name it would be the object's prototype.
    const property = name === "__proto__" ? '["__proto__"]' : propertyName(name);
    const isMembers = typeof kind === "object" && !Array.isArray(kind);
    const text = isMembers ? kindsText(Object.entries(kind)) : JSON.stringify(kind).replaceAll('","', '", "');
    // Of a name that every object has the compiler takes the object's own member for what is meant, and widens the text.
    return `${property}: ${text}${name !== "__proto__" && name in Object.prototype ? " as const" : ""}`;
  });
  return members.length === 0 ? "{}" : `{ ${members.join(", ")} }`;
}

function member(column: ColumnSchema): string {
  const type = isNested(column) ? nestedText(column) : typeText(rowValue(column));
  const name = `${propertyName(column.name)}${column.optional ? "?" : ""}`;
  return `  /** ${comment(column.type)} */\n  readonly ${name}: ${type};\n`;
}

/** An array of arrays, unless it is delivered as something else. */
function isNested({ nested, value }: ColumnSchema): boolean {
  return nested === true && value.type === "array";
}

/** As deep as its values are: the database takes any depth, whatever was declared. */
function nestedText({ value, nullable }: ColumnSchema): string {
  return `Nested<${itemText(value.items)}>${nullable === false ? "" : " | null"}`;
}

function jsonSchema(collections: readonly CollectionSchema[]): JsonSchema {
  const rows = collections.map((collection) => {
    const properties = Object.fromEntries(collection.columns.map((column) => [column.name, rowValue(column)]));
    const required = collection.columns
      .filter(({ omissible, optional }) => !omissible && !optional)
      .map(({ name }) => name);
    const { documents } = collection;
    return [
      formatCollectionName(collection),
      {
        ...(documents && { description: `${one(documents)}, ${documents.origin}.` }),
        type: "object",
        properties,
        required,
        additionalProperties: documents?.open ?? false,
      },
    ] as const;
  });
  return { $schema: "https://json-schema.org/draft/2020-12/schema", $defs: Object.fromEntries(rows) };
}

/** A column's value, null where it may be. */
function rowValue({ value, nullable }: ColumnSchema): JsonSchema {
  if (nullable === false || Object.keys(value).length === 0) return value;
  return { anyOf: [value, { type: "null" }] };
}

function keyOf({ namespace, collection, documents }: CollectionSchema): string {
  return namespace === DEFAULT_NAMESPACE || documents?.bareName
    ? collection
    : formatCollectionName({ namespace, collection });
}

/** A text that does not end the comment that it stands in. */
function comment(text: string): string {
  return text.replaceAll("*/", "* /");
}

/** Not an id of another source, for these have no upper-case letters. */
function constantName(source: SourceId): string {
  return RESERVED.has(source) ? `${source}Tables` : source;
}

/** What the file itself uses, and what TypeScript takes for no name of a constant. */
const RESERVED: ReadonlySet<string> = new Set(
  (
    "collection arguments await break case catch class const continue debugger default delete do else enum eval export " +
    "extends false finally for function if implements import in instanceof interface let new null package private " +
    "protected public return static super switch this throw true try typeof undefined var void while with yield"
  ).split(" "),
);

/** Names of types, each once. */
class Names {
  readonly #used = new Set<string>(["Record", "Readonly", "Pick", "Nested"]);

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

/** The type of the values that a schema allows. */
function typeText(schema: JsonSchema): string {
  if (Array.isArray(schema.anyOf)) return union((schema.anyOf as readonly JsonSchema[]).map(typeText));
  if ("const" in schema) return JSON.stringify(schema.const);
  if (Array.isArray(schema.enum)) {
    const labels = (schema.enum as readonly unknown[]).map((label) => JSON.stringify(label));
    // With a type the list may grow: any other text is allowed, and editors still offer these.
    return union(schema.type === "string" ? [...labels, "(string & {})"] : labels);
  }
  if (Array.isArray(schema.type)) return union((schema.type as readonly string[]).map((type) => typeText({ type })));
  switch (schema.type) {
    case "string":
    case "boolean":
    case "null":
      return schema.type;
    case "integer":
    case "number":
      return "number";
    case "array":
      return `readonly ${parenthesized(itemText(schema.items))}[]`;
    case "object":
      return objectText(schema);
    default:
      return "unknown";
  }
}

/** A property's name, quoted where it must be. */
function propertyName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

/** The type of the elements in the innermost arrays. An array may be nested however its column was declared; few are. */
function itemText(items: unknown): string {
  const schema = (items ?? {}) as JsonSchema;
  if (!Array.isArray(schema.anyOf)) return typeText(schema);
  const isBareArray = ({ type, items: inner }: JsonSchema): boolean => type === "array" && inner === undefined;
  return union((schema.anyOf as readonly JsonSchema[]).filter((one) => !isBareArray(one)).map(typeText));
}

function objectText({ properties, required = [], additionalProperties }: JsonSchema): string {
  if (properties === undefined) {
    if (additionalProperties === false) return "Readonly<Record<string, never>>";
    return `Readonly<Record<string, ${typeText((additionalProperties ?? {}) as JsonSchema)}>>`;
  }
  const members = Object.entries(properties as Readonly<Record<string, JsonSchema>>).map(
    ([name, schema]) =>
      `readonly ${propertyName(name)}${(required as readonly string[]).includes(name) ? "" : "?"}: ${typeText(schema)}`,
  );
  // TypeScript takes a type whose members may all be absent for a mistake where a value has none of them.
  const isWeak = (required as readonly string[]).length === 0 && additionalProperties !== false;
  if (members.length > 0 && isWeak) members.push("readonly [name: string]: unknown");
  return members.length === 0 ? "Readonly<Record<string, never>>" : `{ ${members.join("; ")} }`;
}

function union(types: readonly string[]): string {
  const parts = [...new Set(types)];
  return parts.includes("unknown") ? "unknown" : parts.join(" | ");
}

function parenthesized(type: string): string {
  return /[ |]/.test(type) ? `(${type})` : type;
}
