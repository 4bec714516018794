// docs/config.md from the zod schemas: every option with its type, its default and its meaning.

import { z } from "zod";
import {
  emailSchema,
  githubSchema,
  itsmSchema,
  pagerdutySchema,
  slackSchema,
  webhookSchema,
} from "../src/config/endpoints-schema.ts";
import { configSchema } from "../src/config/schema.ts";
import { dynamoSchema } from "../src/source/dynamodb/options/config.ts";
import { mongoSchema } from "../src/source/mongodb/options/config.ts";
import { postgresSchema } from "../src/source/postgres/options/config.ts";
import { linked } from "./linked.ts";

/** The parts of a JSON Schema that a table needs. */
interface Node {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Node[];
  /** Shapes told apart by a member that is `const` in each. */
  readonly oneOf?: readonly Node[];
  readonly items?: Node;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly additionalProperties?: Node | boolean;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
}

const head = `# Configuration

Written by \`npm run docs\` from the schemas in the code.

\`millrace run\` reads the first of \`millrace.config.ts\`, \`.mts\`, \`.js\`, \`.mjs\`, \`.json\`, \`.yaml\`, \`.yml\` in the working
directory, or the file that \`--config\` names. Code files export the configuration as their default:

\`\`\`ts
import { defineConfig, env } from "millrace";

export default defineConfig({
  bus: { servers: env("NATS_URL", "nats://127.0.0.1:4222") },
  sources: {
    shop: { kind: "postgres", url: env("DATABASE_URL"), tables: ["public.*", "!public.sessions"] },
  },
  automations: "./automations/**/*.ts",
});
\`\`\`

\`env("NAME", default?)\` takes a value from the environment when the worker starts; in JSON and YAML it is written
\`{ "env": "NAME", "default": "…" }\`. Keep secrets there: passwords in urls are never printed, wherever they came from.
An unknown option is an error, as is a variable that is not set and has no default.
`;

const endpoints = {
  webhook: webhookSchema,
  slack: slackSchema,
  email: emailSchema,
  github: githubSchema,
  pagerduty: pagerdutySchema,
  itsm: itsmSchema,
};

export function configPage(): string {
  const page = [
    head,
    ...section("Options", "", z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" }) as Node),
    ...section(
      'Sources of kind "postgres"',
      "sources.<name>.",
      z.toJSONSchema(postgresSchema, { io: "input", unrepresentable: "any" }) as Node,
    ),
    ...section(
      'Sources of kind "mongodb"',
      "sources.<name>.",
      z.toJSONSchema(mongoSchema, { io: "input", unrepresentable: "any" }) as Node,
    ),
    ...section(
      'Sources of kind "dynamodb"',
      "sources.<name>.",
      z.toJSONSchema(dynamoSchema, { io: "input", unrepresentable: "any" }) as Node,
    ),
    ...Object.entries(endpoints).flatMap(([kind, schema]) =>
      section(
        `Endpoints of kind "${kind}"`,
        "endpoints.<name>.",
        z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Node,
      ),
    ),
  ].join("\n");
  return linked("docs/config.md", page);
}

function section(title: string, path: string, schema: Node): string[] {
  return [`## ${title}`, "", "| option | type | default | meaning |", "|---|---|---|---|", ...rows(path, schema), ""];
}

function rows(path: string, schema: Node): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, node]) => {
    const entry = typeof node.additionalProperties === "object" ? merged(node.additionalProperties) : undefined;
    const object = node.properties === undefined ? node.anyOf?.find((one) => one.properties !== undefined) : node;
    const inner = object ?? (entry?.properties === undefined ? undefined : entry);
    const own = row(`${path}${name}`, node, schema.required?.includes(name) === true);
    if (inner === undefined) return [own];
    return [own, ...rows(`${path}${name}.${inner === entry ? "<name>." : ""}`, inner)];
  });
}

/** One table of several shapes: each option once, with the shapes that have it where not all do. */
function merged(node: Node): Node {
  if (node.oneOf === undefined) return node;
  const shapes = node.oneOf.map(({ properties = {}, required = [] }) => {
    const [, name] = Object.entries(properties).find(([, one]) => one.const !== undefined) ?? [];
    return { name: String(name?.const), properties, required };
  });
  const properties: Record<string, Node> = {};
  for (const option of new Set(shapes.flatMap((shape) => Object.keys(shape.properties)))) {
    const having = shapes.filter((shape) => option in shape.properties);
    const nodes = having.map((shape) => shape.properties[option] as Node);
    const [first = {}] = nodes;
    const of = having.length < shapes.length ? `Of ${having.map(({ name }) => name).join(", ")}. ` : "";
    properties[option] =
      first.const === undefined
        ? { ...first, description: of + (nodes.find(({ description }) => description)?.description ?? "") }
        : { enum: nodes.map((one) => one.const), description: "Who sends, and so how it is verified." };
  }
  return {
    properties,
    required: Object.keys(properties).filter((option) => shapes.every((shape) => shape.required.includes(option))),
  };
}

function row(option: string, node: Node, required: boolean): string {
  const nothing = required ? "required" : "";
  const preset =
    node.default === undefined || isEmptyObject(node.default) ? nothing : code(JSON.stringify(node.default));
  return `| \`${option}\` | ${typeOf(node)} | ${preset} | ${(node.description ?? "").replaceAll("|", "\\|")} |`;
}

function typeOf(node: Node): string {
  if (node.const !== undefined) return code(JSON.stringify(node.const));
  if (node.enum !== undefined) return node.enum.map((value) => code(JSON.stringify(value))).join(", ");
  if (node.anyOf !== undefined) return node.anyOf.map(typeOf).join(" or ");
  if (node.type === "array") return `list of ${node.items?.type === undefined ? "anything" : `${typeOf(node.items)}s`}`;
  return node.type ?? "";
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}

function code(text: string): string {
  return `\`${text}\``;
}
