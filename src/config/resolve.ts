// From what a user wrote to what the worker runs on: environment, defaults, each connector's own section.

import { ConfigError } from "../errors.ts";
import type { Retention } from "../event/retention.ts";
import { scriptSchema, scriptTypes } from "../event/script-event.ts";
import type { SourceId } from "../event/source-id.ts";
import { rememberUrlSecrets } from "../telemetry/redact.ts";
import { Secret } from "../telemetry/secret.ts";
import type { Endpoint } from "./endpoints-schema.ts";
import { resolveEnv } from "./env.ts";
import { type HttpConfig, resolveHttp } from "./http.ts";
import type { IngressSection, ReceiverSection } from "./ingress-schema.ts";
import { refuseUnfitList } from "./made-by.ts";
import { nearest } from "./nearest.ts";
import { parseConfig } from "./parse.ts";
import { type Config, configSchema, type ParsedConfig, type SourceOptions } from "./schema.ts";

/** What a connector does with its own section. @throws ConfigError with the path of the bad value */
interface SectionParser<Section> {
  parse(input: unknown, path: string): Section;
}

export interface ResolvedSource<Section> {
  readonly kind: string;
  /** As its connector parsed it; it may hold a password. */
  readonly config: Secret<Section>;
}

export interface BusConfig {
  /** Where the servers are, and as whom they are spoken to. */
  readonly access: Secret<Pick<ParsedConfig["bus"], "servers" | "credentials" | "tls">>;
  readonly retention: Retention;
  readonly replicas: 1 | 3 | 5;
  /** "always", or the server's sync interval in ms. */
  readonly fsync: "always" | number;
  /** The most bytes of one event's body. */
  readonly maxEventBytes: number;
}

/** What is received over HTTP, and where. */
export interface ReceivedConfig {
  readonly ingress: IngressSection;
  /** By name; with their secrets. */
  readonly webhooks: ReadonlyMap<string, Secret<ReceiverSection>>;
  /** Typed POSTs: who may send them, and the schema of each type. */
  readonly tokens: Secret<readonly string[]>;
  readonly types: ReadonlyMap<string, object>;
}

export interface ResolvedConfig<Section> {
  readonly bus: BusConfig;
  readonly sources: ReadonlyMap<SourceId, ResolvedSource<Section>>;
  readonly automations: readonly unknown[];
  readonly defaults: ParsedConfig["defaults"];
  /** What `send()` reaches, by name; with their secrets. */
  readonly endpoints: ReadonlyMap<string, Secret<Endpoint>>;
  readonly http: HttpConfig;
  readonly received: ReceivedConfig;
  readonly log: ParsedConfig["log"];
}

/**
 * Checks a configuration and fills in what it leaves out.
 * @param connectors by kind
 * @throws ConfigError CONFIG_INVALID, CONFIG_UNKNOWN_KEY, ENV_MISSING, AUTOMATION_INVALID, AUTOMATION_VERSION, and a connector's own
 */
export function resolveConfig<Section>(
  input: unknown,
  connectors: ReadonlyMap<string, SectionParser<Section>>,
  environment: NodeJS.ProcessEnv = process.env,
): ResolvedConfig<Section> {
  const config = parseConfig(configSchema, withEnvironment(input, environment), "");
  refuseUnfitList(config.automations, "automations");
  const sources = Object.entries(config.sources).map(
    ([id, options]) => [id as SourceId, resolveSource(id, options, connectors)] as const,
  );
  return {
    bus: busConfig(config),
    sources: new Map(sources),
    automations: config.automations,
    defaults: config.defaults,
    endpoints: new Map(Object.entries(config.endpoints).map(([name, endpoint]) => [name, new Secret(endpoint)])),
    http: resolveHttp(config.http, environment),
    received: receivedConfig(config),
    log: config.log,
  };
}

/** @throws ConfigError for a worker that would do nothing, and look healthy */
export function refuseIdle({ sources, automations, received }: ResolvedConfig<unknown>): void {
  if (sources.size > 0 || automations.length > 0 || receivesAny(received)) return;
  throw new ConfigError("CONFIG_INVALID", "sources: there is none, and no automation either: nothing to do", {
    hint: 'Name a source: sources: { shop: { kind: "postgres", url: env("DATABASE_URL") } }; or automations, webhooks or events.types.',
  });
}

/** Whether there is anything to listen for. */
export function receivesAny({ webhooks, types }: ReceivedConfig): boolean {
  return webhooks.size > 0 || types.size > 0;
}

/** The `bus` section alone, for commands that read no source. */
export function resolveBusConfig(input: unknown, environment: NodeJS.ProcessEnv = process.env): BusConfig {
  return busConfig(parseSection(input, "bus", environment));
}

/** The `http` section alone, for who only asks a worker: no other variable needs to be set. */
export function resolveHttpConfig(input: unknown, environment: NodeJS.ProcessEnv = process.env): HttpConfig {
  return resolveHttp(parseSection(input, "http", environment).http, environment);
}

function parseSection(input: unknown, name: "bus" | "http", environment: NodeJS.ProcessEnv): ParsedConfig {
  const section =
    typeof input === "object" && input !== null && name in input ? { [name]: (input as Config)[name] } : {};
  return parseConfig(configSchema, withEnvironment(section, environment), "");
}

/** Automations, schemas of events and a pool are code, not data: nothing in them is a reference to the environment. */
function withEnvironment(input: unknown, environment: NodeJS.ProcessEnv): unknown {
  if (typeof input !== "object" || input === null) return remembered(resolveEnv(input, "", environment));
  const { automations, defaults, events, ...rest } = input as Readonly<Record<string, unknown>>;
  const resolved = remembered(resolveEnv(rest, "", environment)) as object;
  return {
    ...resolved,
    ...(events === undefined ? {} : { events: eventsWithEnvironment(events, environment) }),
    ...(automations === undefined ? {} : { automations }),
    ...(defaults === undefined ? {} : { defaults }),
  };
}

function eventsWithEnvironment(input: unknown, environment: NodeJS.ProcessEnv): unknown {
  if (typeof input !== "object" || input === null || !("types" in input)) {
    return resolveEnv(input, "events", environment);
  }
  const { types, ...rest } = input;
  return { ...(resolveEnv(rest, "events", environment) as object), types };
}

function remembered(value: unknown): unknown {
  if (typeof value === "string") rememberUrlSecrets(value);
  else if (typeof value === "object" && value !== null) for (const part of Object.values(value)) remembered(part);
  return value;
}

function busConfig({ bus }: ParsedConfig): BusConfig {
  for (const server of bus.servers) rememberUrlSecrets(server.includes("://") ? server : `nats://${server}`);
  const { servers, credentials, tls, ...rest } = bus;
  return { ...rest, access: new Secret({ servers, credentials, tls }) };
}

function receivedConfig({ ingress, webhooks, events: { token = [], types } }: ParsedConfig): ReceivedConfig {
  // Whoever may post may also tell how scripts ended.
  const scripts = token.length > 0 ? scriptTypes.map((type) => [type, scriptSchema] as const) : [];
  return {
    ingress,
    webhooks: new Map(Object.entries(webhooks).map(([name, section]) => [name, new Secret(section)])),
    tokens: new Secret(token),
    types: new Map([...scripts, ...Object.entries(types)]),
  };
}

function resolveSource<Section>(
  id: string,
  { kind, ...section }: SourceOptions,
  connectors: ReadonlyMap<string, SectionParser<Section>>,
): ResolvedSource<Section> {
  const connector = connectors.get(kind);
  if (connector === undefined) {
    const kinds = [...connectors.keys()];
    const meant = nearest(kind, kinds);
    throw new ConfigError("CONFIG_INVALID", `sources.${id}.kind: there is no connector ${JSON.stringify(kind)}`, {
      hint: meant === undefined ? `The connectors are ${kinds.join(", ")}.` : `Did you mean ${JSON.stringify(meant)}?`,
    });
  }
  return { kind, config: new Secret(connector.parse(section, `sources.${id}`)) };
}
