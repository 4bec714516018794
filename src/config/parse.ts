// Checks a value against a zod schema; what is wrong becomes one ConfigError with path, reason and fix.

import { z } from "zod";
import { ConfigError } from "../errors.ts";
import { nearest } from "./nearest.ts";

type Issue = z.core.$ZodIssue;
/** The parts of a JSON Schema that a hint needs. */
interface SchemaNode {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  /** Shapes told apart by a member that is `const` in each. */
  readonly oneOf?: readonly SchemaNode[];
  readonly const?: unknown;
}

/** What zod says where the schema has no words of its own. */
const NO_SHAPE_FITS = "Invalid input";

/**
 * The value as the schema makes it.
 * @param path where the value stands in the configuration: `sources.shop`; empty for the whole of it
 * @throws ConfigError CONFIG_UNKNOWN_KEY, CONFIG_INVALID: with the path of the bad value, never the value itself
 */
export function parseConfig<Schema extends z.ZodType>(schema: Schema, input: unknown, path: string): z.output<Schema> {
  const { fault, data } = firstFault(schema, input, "docs/config.md");
  if (fault === undefined) return data;
  const { keys, reason, hint } = fault;
  const message = `${join(path, keys)}: ${reason}`;
  throw fault.unknown
    ? new ConfigError("CONFIG_UNKNOWN_KEY", message, { hint })
    : new ConfigError("CONFIG_INVALID", message, { hint });
}

/** What is wrong with a value, and where in it; never the value itself. */
export interface Fault {
  readonly keys: readonly PropertyKey[];
  /** Whether it is an option that there is not. */
  readonly unknown: boolean;
  readonly reason: string;
  readonly hint: string;
}

/** The value as the schema makes it, or what is to be said first of what is wrong. @param page says what the options are */
export function firstFault<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  page: string,
): { readonly fault: Fault; readonly data?: never } | { readonly fault?: never; readonly data: z.output<Schema> } {
  const result = schema.safeParse(input);
  if (result.success) return { data: result.data };
  const issues = result.error.issues.map(innermost);
  // An unknown key is most often the misspelt one that is also reported as missing: name it first.
  const unknown = issues.find((issue) => issue.code === "unrecognized_keys");
  const fault =
    unknown === undefined ? invalidValue(schema, issues[0] as Issue, input, page) : unknownKey(schema, unknown, input);
  return { fault };
}

/** Where a value may be of several shapes and is plainly meant to be one of them: what is wrong inside of that. */
function innermost(issue: Issue): Issue {
  if (issue.code !== "invalid_union") return issue;
  const inner = issue.errors
    .flatMap(([first]) => first ?? [])
    .filter(({ path, code }) => path.length > 0 || code === "unrecognized_keys");
  const [only] = inner;
  return only === undefined || inner.length > 1 ? issue : innermost({ ...only, path: [...issue.path, ...only.path] });
}

function unknownKey(schema: z.ZodType, issue: z.core.$ZodIssueUnrecognizedKeys, input: unknown): Fault {
  const key = issue.keys[0] ?? "";
  const known = Object.keys(nodeAt(schema, issue.path, input)?.properties ?? {});
  const meant = nearest(key, known);
  return {
    keys: [...issue.path, key],
    unknown: true,
    reason: "there is no such option",
    hint:
      meant === undefined
        ? `Remove it; the options here are ${known.join(", ")}.`
        : `Did you mean ${JSON.stringify(meant)}?`,
  };
}

function invalidValue(schema: z.ZodType, issue: Issue, input: unknown, page: string): Fault {
  const description = nodeAt(schema, issue.path, input)?.description;
  return {
    keys: issue.path,
    unknown: false,
    reason: reason(issue, input),
    hint: `Set it as ${page} says${description === undefined ? "." : `: ${description}`}`,
  };
}

function reason(issue: Issue, input: unknown): string {
  const mayBeMissing = issue.code === "invalid_type" || issue.code === "invalid_union";
  if (mayBeMissing && valueAt(input, issue.path) === undefined) return "is missing";
  if (issue.code === "invalid_key") return issue.issues[0]?.message ?? issue.message;
  if (issue.code === "invalid_union" && issue.errors.length > 0 && issue.message === NO_SHAPE_FITS) {
    return issue.errors.map((branch) => plain(branch[0]?.message ?? issue.message)).join(", or ");
  }
  return plain(issue.message);
}

function plain(message: string): string {
  return message.replace(/^Invalid (?:input|option): /, "");
}

function join(path: string, keys: readonly PropertyKey[]): string {
  const parts = [...(path === "" ? [] : [path]), ...keys.map(String)];
  return parts.length === 0 ? "the configuration" : parts.join(".");
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined,
    input,
  );
}

function nodeAt(schema: z.ZodType, path: readonly PropertyKey[], input: unknown): SchemaNode | undefined {
  let node: SchemaNode | undefined = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as SchemaNode;
  for (const [nth, key] of path.entries()) {
    const more: SchemaNode | boolean | undefined =
      node?.properties?.[String(key)] ?? node?.items ?? node?.additionalProperties;
    node = typeof more === "object" ? shapeOf(more, valueAt(input, path.slice(0, nth + 1))) : undefined;
  }
  return node;
}

/** Of several shapes the one that the value is meant to be. */
function shapeOf(node: SchemaNode, value: unknown): SchemaNode {
  const meant = node.oneOf?.find(({ properties = {} }) =>
    Object.entries(properties).every(([name, one]) => one.const === undefined || one.const === valueAt(value, [name])),
  );
  return meant ?? node.anyOf?.find(({ properties }) => properties !== undefined) ?? node;
}
