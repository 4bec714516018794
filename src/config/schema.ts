// The configuration's shape: what may be written, what it means, what it defaults to. docs/config.md is made from it.

import { z } from "zod";
import type { Duration } from "../event/duration.ts";
import { isSourceId } from "../event/source-id.ts";
import { type LogLevel, logLevels } from "../telemetry/logger.ts";
import { busSchema } from "./bus-schema.ts";
import { type EndpointOptions, endpointsSchema } from "./endpoints-schema.ts";
import type { EnvRef } from "./env.ts";
import { eventsSchema, ingressSchema, type ReceiverSection, webhooksSchema } from "./ingress-schema.ts";

type Text = string | EnvRef;

/** A source: its kind, and the options of that kind's connector. */
export interface SourceOptions {
  readonly kind: string;
  readonly [option: string]: unknown;
}

/** A secret, or several of them while it is rotated. */
type SecretRef = EnvRef | readonly EnvRef[];

/** A receiver of webhooks: its provider, and that provider's options. */
export interface ReceiverOptions {
  readonly provider: ReceiverSection["provider"];
  readonly secret?: SecretRef;
  readonly bearer?: SecretRef;
  readonly basic?: SecretRef;
  readonly [option: string]: unknown;
}

/** What a configuration file holds. */
export interface Config {
  readonly bus?: {
    readonly servers?: Text | readonly Text[];
    readonly replicas?: 1 | 3 | 5;
    readonly fsync?: "always" | Duration | EnvRef;
    readonly retention?: {
      readonly age?: "unlimited" | Duration | EnvRef;
      readonly bytes?: number;
      readonly discard?: "old" | "new";
    };
    /** One of: a file, an NKey, a token, user and password. */
    readonly credentials?: {
      readonly file?: Text;
      readonly nkey?: EnvRef;
      readonly token?: EnvRef;
      readonly user?: Text;
      readonly password?: EnvRef;
    };
    /** Paths of PEM files. */
    readonly tls?: { readonly ca?: Text; readonly cert?: Text; readonly key?: Text };
    readonly maxEventBytes?: number;
  };
  readonly sources?: Readonly<Record<string, SourceOptions>>;
  /** In a file also a glob of modules that export them. */
  readonly automations?: string | readonly unknown[];
  /** In a file: a glob of files of rules. */
  readonly rules?: string;
  readonly defaults?: {
    /** Where `tx` opens its transactions: a pool of pg, a database of drizzle, or what postgres.js makes. */
    readonly db?: object;
    readonly maxHops?: number;
  };
  /** What `send()` reaches, by name. */
  readonly endpoints?: Readonly<Record<string, EndpointOptions>>;
  readonly http?: { readonly host?: Text; readonly port?: number };
  /** Where webhooks and typed POSTs are received. */
  readonly ingress?: {
    readonly host?: Text;
    readonly port?: number;
    readonly addressRate?: { readonly limit: number; readonly per: Duration };
  };
  /** From whom, by the name of the receiver: `POST /in/<name>`. */
  readonly webhooks?: Readonly<Record<string, ReceiverOptions>>;
  /** `POST /events/<aggregate>.<name>`; of each type a schema: Standard Schema, or a JSON Schema. */
  readonly events?: { readonly token: SecretRef; readonly types: Readonly<Record<string, object>> };
  readonly log?: { readonly events?: boolean; readonly messages?: boolean; readonly level?: LogLevel | EnvRef };
}

const defaultsSchema = z.strictObject({
  db: z
    .custom<object>((value) => (typeof value === "object" && value !== null) || typeof value === "function", {
      error: "expected a pool of pg, a database of drizzle, or what postgres() returns",
    })
    .optional()
    .describe(
      "In a file of code: the pool that `tx` opens its transactions on, for automations without a `db` of their own. It must lead to the database of a source with `outbox`.",
    ),
  maxHops: z
    .int()
    .min(1)
    .max(100)
    .default(8)
    .describe(
      "How many handlers may stand between the first change and an event that their `tx` caused. One with more becomes a dead letter with the reason `cycle`.",
    ),
});

const httpSchema = z.strictObject({
  host: z
    .string()
    .default("127.0.0.1")
    .describe(
      "The address to listen on. One that others can reach needs a token in the environment variable MILLRACE_HTTP_TOKEN.",
    ),
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(9464)
    .describe("The port to listen on, 0 for any free one. The environment variable MILLRACE_HTTP=host:port wins."),
});

const logSchema = z.strictObject({
  level: z
    .enum(logLevels)
    .optional()
    .describe(
      'The least that is logged: "debug", "info" (the default of the command), "warn" or "error". `--verbose` is "debug". Inside an application the given logger decides, unless this is set.',
    ),
  events: z
    .boolean({ error: "expected true or false" })
    .default(false)
    .describe(
      "Log each event that an automation is given: `event_received` when its handler is started, `event_settled` with the outcome; type, id, source and correlation id, never the row.",
    ),
  messages: z
    .boolean({ error: "expected true or false" })
    .default(true)
    .describe(
      "Log the messages of the errors that handlers throw, cut to 500 characters and without secrets. `false` where they may hold what must not be in a log: then name, code, cause and place remain, and the message is in the dead letter only.",
    ),
});

export const configSchema = z.strictObject({
  bus: busSchema.prefault({}).describe("The NATS servers with JetStream that keep the streams."),
  sources: z
    .record(
      z.string().refine(isSourceId, {
        error: "a source's name is a lower-case letter and up to 30 lower-case letters, digits or _",
      }),
      z.looseObject({ kind: z.string().describe("Which database it is; the other options are the connector's.") }),
    )
    .default({})
    .describe(
      "The databases to read, by name: a lower-case letter, then up to 30 lower-case letters, digits or _. None where a worker only receives, or acts by the clock.",
    ),
  automations: z
    .array(z.unknown(), { error: "expected a list of automations; a glob of modules is for configuration files" })
    .default([])
    .describe(
      'In a file: a glob of the modules that export automations, relative to the file, such as "./automations/**/*.ts" (tests beside them are left out). Or a list of automations.',
    ),
  rules: z
    .undefined({ error: "expected nothing: files of rules are for the configuration files of the command" })
    .optional()
    .describe(
      'In a file: a glob of files with rules without code, relative to the file, such as "./rules/**/*.yaml" (docs/rules.md).',
    ),
  defaults: defaultsSchema.prefault({}).describe("What holds for all automations."),
  endpoints: endpointsSchema,
  http: httpSchema.prefault({}).describe("The worker's own HTTP port: /healthz, /readyz, /metrics, /api/status."),
  ingress: ingressSchema.prefault({}).describe("The HTTP port for what is received: `/in/…` and `/events/…`."),
  webhooks: webhooksSchema
    .default({})
    .describe("From whom webhooks are received, by name: the receiver `payments` is `POST /in/payments`."),
  events: eventsSchema.prefault({}).describe("Typed POSTs: events that are sent to `/events/<aggregate>.<name>`."),
  log: logSchema.prefault({}).describe("What the worker logs."),
});

/** A configuration with its defaults; sources are still unparsed. */
export type ParsedConfig = z.output<typeof configSchema>;

/**
 * The configuration as it is, checked by the compiler.
 * @example
 * export default defineConfig({
 *   sources: { shop: { kind: "postgres", url: env("DATABASE_URL"), tables: ["public.*"] } },
 * });
 */
export function defineConfig(config: Config): Config {
  return config;
}
