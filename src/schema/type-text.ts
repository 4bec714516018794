// JSON Schema, the part of it that connectors use, as TypeScript.

import type { JsonSchema } from "../event/collection-schema.ts";

/** The type of the values that a schema allows. */
export function typeText(schema: JsonSchema): string {
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
export function propertyName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

/** The type of the elements in the innermost arrays. An array may be nested however its column was declared; few are. */
export function itemText(items: unknown): string {
  const schema = (items ?? {}) as JsonSchema;
  if (!Array.isArray(schema.anyOf)) return typeText(schema);
  const isBareArray = ({ type, items: inner }: JsonSchema): boolean => type === "array" && inner === undefined;
  return union((schema.anyOf as readonly JsonSchema[]).filter((one) => !isBareArray(one)).map(typeText));
}

function objectText({ properties, additionalProperties }: JsonSchema): string {
  if (properties === undefined) {
    return `Readonly<Record<string, ${typeText((additionalProperties ?? {}) as JsonSchema)}>>`;
  }
  const members = Object.entries(properties as Readonly<Record<string, JsonSchema>>).map(
    ([name, schema]) => `readonly ${propertyName(name)}: ${typeText(schema)}`,
  );
  return members.length === 0 ? "Readonly<Record<string, never>>" : `{ ${members.join("; ")} }`;
}

function union(types: readonly string[]): string {
  const parts = [...new Set(types)];
  return parts.includes("unknown") ? "unknown" : parts.join(" | ");
}

function parenthesized(type: string): string {
  return /[ |]/.test(type) ? `(${type})` : type;
}
