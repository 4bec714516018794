// Connects as libpq does: one host after the other, with and without TLS as sslmode says, until one is what was asked for.

import { existsSync } from "node:fs";
import type { Socket } from "node:net";
import { Client, type ClientConfig } from "pg";
import { ConfigError, MillraceError, TransientError, toError } from "../../../errors.ts";
import { type ConnectionPlace, type Host, parseConnectionUrl } from "./connection-url.ts";
import { sqlState, translateError } from "./errors.ts";
import { findPassword } from "./pass-file.ts";
import { tlsError } from "./tls-error.ts";
import { type Encryption, encryptionsOf } from "./tls-options.ts";
import { unfitSession } from "./wanted-session.ts";

/** The driver's connection, as far as it is used here; it has no public type. */
interface WireConnection {
  readonly stream: Socket;
  on(event: "parameterStatus", listener: (message: { parameterName: string; parameterValue: string }) => void): void;
  on(event: "authenticationSASL", listener: (message: { readonly mechanisms: readonly string[] }) => void): void;
}

/** Where libpq's builds have their socket. */
const SOCKET_DIRECTORIES: readonly string[] = ["/var/run/postgresql", "/tmp"];
/** Nobody else's function, operator or type is ever found by a name of ours. Not by a SET: a pooler would lend it on. */
const PINNED = "-c search_path=pg_catalog,pg_temp";
const CHANNEL_BINDING = "SCRAM-SHA-256-PLUS";

/**
 * Connected, and an error on the idle connection does not end the process: whoever uses it next hears of it.
 * @param config its `connectionString` is read here, and not by the driver
 * @throws ConfigError for what only a person can mend; TransientError, which says what each host answered
 */
export async function connectClient({ connectionString = "", ...config }: ClientConfig): Promise<Client> {
  const place = parseConnectionUrl(connectionString);
  const { target_session_attrs: wanted = "any", load_balance_hosts } = place.parameters;
  const hosts = load_balance_hosts === "random" ? shuffled(place.hosts) : place.hosts;
  const failures = new Set<string>();
  for (const attributes of wanted === "prefer-standby" ? ["standby", "any"] : [wanted]) {
    for (const host of hosts) {
      try {
        return await connectHost(config, place, host, attributes);
      } catch (error) {
        const { code, message } = error as MillraceError;
        if (code !== "SOURCE_UNREACHABLE" || (hosts.length === 1 && wanted === "any")) throw error;
        failures.add(message);
      }
    }
  }
  const which = wanted === "any" ? "is there" : `is what target_session_attrs=${wanted} asks for`;
  throw new TransientError("SOURCE_UNREACHABLE", [...failures].join("; "), {
    hint: `See that one of the url's hosts ${which}; a worker tries again by itself.`,
  });
}

/** Ends a connection; after two seconds by force. Never rejects. */
export async function endClient(client: Client): Promise<void> {
  const timer = setTimeout(() => wire(client).stream.destroy(), 2_000);
  await client.end().catch(() => {}); // it is gone either way
  clearTimeout(timer);
}

/** What a client of the driver sends and receives by. */
export function wire(client: Client): WireConnection {
  return (client as unknown as { readonly connection: WireConnection }).connection;
}

async function connectHost(config: ClientConfig, place: ConnectionPlace, host: Host, wanted: string): Promise<Client> {
  const at = { ...host, host: host.host || socketDirectory(host.port) || "localhost" };
  const failures: MillraceError[] = [];
  for (const encryption of await encryptionsOf(at.host, place.parameters)) {
    try {
      return await connect({ config, place, at, encryption, wanted });
    } catch (error) {
      failures.push(error as MillraceError);
      if (!isTlsFailure(error) && !isRefusal(error)) break;
    }
  }
  const told = failures.filter(({ code }) => code !== "TLS_MISSING");
  const last = (told.at(-1) ?? failures[0]) as MillraceError;
  if (told.length < 2 || !isRefusal(last)) throw last;
  throw new ConfigError("AUTH_FAILED", told.map(({ message }) => message).join("; "), {
    ...(last.hint === undefined ? {} : { hint: last.hint }),
    cause: last.cause,
  });
}

interface Attempt {
  readonly config: ClientConfig;
  readonly place: ConnectionPlace;
  readonly at: Host;
  readonly encryption: Encryption;
  readonly wanted: string;
}

/** @throws errors of ours */
async function connect({ config, place, at, encryption, wanted }: Attempt): Promise<Client> {
  const name = at.host.startsWith("/") ? `${at.host}/.s.PGSQL.${at.port}` : `${at.host}:${at.port}`;
  const { channel_binding: binding } = place.parameters;
  const reported = new Map<string, string>();
  let bound = false;
  const client = new Client({
    ...config,
    ...socketOptions(place),
    ...at,
    user: place.user,
    database: place.database,
    ssl: encryption,
    enableChannelBinding: encryption !== false && (binding === "prefer" || binding === "require"),
    password: () => {
      if (binding === "require" && !bound) throw notBound(name);
      return findPassword(place, at);
    },
  });
  client.on("error", () => {});
  const connection = wire(client);
  connection.on("parameterStatus", ({ parameterName, parameterValue }) => reported.set(parameterName, parameterValue));
  connection.on("authenticationSASL", ({ mechanisms }) => {
    bound = encryption !== false && mechanisms.includes(CHANNEL_BINDING);
  });
  try {
    await client.connect();
    if (binding === "require" && !bound) throw notBound(name);
    const unfit = unfitSession(wanted, reported);
    if (unfit !== undefined) throw new TransientError("SOURCE_UNREACHABLE", `${name}: ${unfit}`);
    return client;
  } catch (thrown) {
    await endClient(client);
    throw translated(thrown, name, encryption, connection.stream);
  }
}

/** What the url says of the connection itself, in the driver's words. */
function socketOptions({ parameters }: ConnectionPlace): ClientConfig {
  const { application_name, fallback_application_name, options, sslnegotiation, connect_timeout } = parameters;
  const { keepalives, keepalives_idle } = parameters;
  return {
    ...(application_name === undefined ? {} : { application_name }),
    ...(fallback_application_name === undefined ? {} : { fallback_application_name }),
    options: options === undefined ? PINNED : `${options} ${PINNED}`, // the last of two counts
    ...(sslnegotiation === undefined ? {} : { sslnegotiation }),
    ...(Number(connect_timeout ?? 0) > 0 ? { connectionTimeoutMillis: Number(connect_timeout) * 1000 } : {}),
    ...(keepalives === "0" ? { keepAlive: false } : {}),
    ...(keepalives_idle === undefined ? {} : { keepAliveInitialDelayMillis: Number(keepalives_idle) * 1000 }),
  } as ClientConfig;
}

function translated(thrown: unknown, name: string, encryption: Encryption, stream: unknown): MillraceError {
  const plain = translateError(thrown);
  const error = toError(thrown);
  const fromServer = sqlState(error) !== undefined;
  const tls = encryption !== false && !fromServer && !(error instanceof MillraceError);
  const aboutTls = tls ? tlsError(error, name, stream, encryption.rejectUnauthorized === true) : undefined;
  const ours = aboutTls ?? plain;
  if (error === ours || fromServer || ours.code !== "SOURCE_UNREACHABLE") return ours;
  return new TransientError("SOURCE_UNREACHABLE", `${name}: ${ours.message}`, {
    ...(ours.hint === undefined ? {} : { hint: ours.hint }),
    cause: error,
  });
}

function notBound(name: string): ConfigError {
  return new ConfigError("TLS_FAILED", `${name}: channel_binding=require, and the server does not offer it`, {
    hint: "It needs TLS and a password that the server keeps as scram-sha-256; else leave the parameter out.",
  });
}

function isTlsFailure(error: unknown): boolean {
  return error instanceof ConfigError && /^TLS_(MISSING|FAILED|UNTRUSTED)$/.test(error.code);
}

/** The server lets nobody in this way: its pg_hba.conf may let him in the other way. */
function isRefusal(error: unknown): boolean {
  return error instanceof ConfigError && sqlState(error.cause) === "28000";
}

function socketDirectory(port: number): string | undefined {
  return SOCKET_DIRECTORIES.find((directory) => existsSync(`${directory}/.s.PGSQL.${port}`));
}

function shuffled<Item>(items: readonly Item[]): readonly Item[] {
  const keyed = items.map((item) => ({ item, key: Math.random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}
