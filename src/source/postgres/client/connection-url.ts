// Reads a connection url as libpq does: several hosts, sockets, percent-encoding, parameters, and the variables of the environment.

import { userInfo } from "node:os";
import { nearest } from "../../../config/nearest.ts";
import { parameters, wrongValue } from "./parameters.ts";

export interface Host {
  /** A name, an address, a directory with a socket, or empty: the machine itself. */
  readonly host: string;
  readonly port: number;
}

export interface ConnectionPlace {
  /** In the order in which they are tried; at least one. */
  readonly hosts: readonly Host[];
  readonly user: string;
  readonly database: string;
  /** By libpq's names, those of the environment included; `password` may be among them: never printed. */
  readonly parameters: Readonly<Record<string, string>>;
}

const DEFAULT_PORT = 5432;

/**
 * @param url `postgres://[user[:password]@][host[:port],…][/database][?parameter=value&…]`
 * @throws Error that says what is wrong and quotes no value
 */
export function parseConnectionUrl(url: string, environment: NodeJS.ProcessEnv = process.env): ConnectionPlace {
  // The last @ before the path: libpq takes the first, but a password with one in it is plainly meant.
  const parts = /^postgres(?:ql)?:\/\/(?:(?<who>[^/?]*)@)?(?<at>[^/?]*)(?:\/(?<database>[^?]*))?(?:\?(?<query>.*))?$/s;
  const found = parts.exec(url)?.groups;
  if (found === undefined) throw new Error("expected a url like postgres://user@host:5432/database");
  const { who = "", at = "", database = "", query = "" } = found;
  const [user = "", password = ""] = who.split(/:(.*)/s).map((text) => decode(text, "user and password"));
  const hosts = at.split(",").map(parseHost);
  const named: Record<string, string> = {
    ...present({ user, password, dbname: decode(database, "the database's name") }),
    ...present({ host: hosts.map(({ host }) => host).join(","), port: hosts.map(({ port }) => port).join(",") }),
    ...parseQuery(query),
  };
  for (const [name, { variable }] of Object.entries(parameters)) {
    const value = variable === undefined ? undefined : environment[variable];
    if (value) named[name] ??= checked(name, value, variable as string);
  }
  if (named.ssl !== undefined) named.sslmode ??= "require";
  const asked = named.user ?? userInfo().username;
  refuseContradictions(named);
  return { hosts: pair(named), user: asked, database: named.dbname ?? asked, parameters: named };
}

/** Empty parts count as left out. */
function present(texts: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).filter(([, text]) => text.replaceAll(",", "") !== ""));
}

function parseHost(text: string): { readonly host: string; readonly port: string } {
  const {
    bracketed,
    plain = "",
    port = "",
  } = /^(?:\[(?<bracketed>[0-9a-z:.%]+)\]|(?<plain>[^:[\]]*))(?::(?<port>\d*))?$/i.exec(text)?.groups ?? {};
  if (bracketed === undefined && plain === "" && text !== "" && !text.startsWith(":")) {
    throw new Error("expected hosts like host:5432 or [::1]:5432, with commas between them");
  }
  return { host: decode(bracketed ?? plain, "the host"), port };
}

function parseQuery(query: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const pair of query.split("&").filter((text) => text !== "")) {
    const [, key = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(pair) ?? [];
    const name = decode(key, "a parameter");
    if (!Object.hasOwn(parameters, name)) throw new Error(unknownParameter(name));
    if (value === undefined) throw new Error(`the parameter ${name} has no value`);
    const text = decode(value, `the parameter ${name}`);
    if (text !== "") found[name] = checked(name, text, name);
  }
  return found;
}

function unknownParameter(name: string): string {
  const meant = nearest(name, Object.keys(parameters));
  const known = meant === undefined ? "docs/operations/tls.md lists those there are" : `did you mean ${meant}?`;
  return `${JSON.stringify(name)} is no parameter of a connection url that Millrace knows; ${known}`;
}

/** @param where the parameter, or the variable it comes from */
function checked(name: string, value: string, where: string): string {
  const wrong = wrongValue(name, value);
  if (wrong !== undefined) throw new Error(`${where}: ${wrong}`);
  return value;
}

function refuseContradictions({ sslmode, sslrootcert, sslnegotiation }: Readonly<Record<string, string>>): void {
  if (sslrootcert === "system" && sslmode !== undefined && sslmode !== "verify-full") {
    throw new Error(
      `sslrootcert=system needs sslmode=verify-full: anybody can get a certificate of a public authority`,
    );
  }
  if (sslnegotiation === "direct" && !/^(require|verify-ca|verify-full)$/.test(sslmode ?? "")) {
    throw new Error("sslnegotiation=direct needs sslmode=require or stronger");
  }
}

/** One port for all hosts, or one for each. */
function pair({ host = "", port = "" }: Readonly<Record<string, string>>): readonly Host[] {
  const hosts = host.split(",");
  const ports = port.split(",");
  if (ports.length > 1 && ports.length !== hosts.length) {
    throw new Error(`there are ${hosts.length} hosts and ${ports.length} ports`);
  }
  return hosts.map((name, nth) => ({ host: name, port: parsePort(ports[ports.length === 1 ? 0 : nth] ?? "") }));
}

function parsePort(text: string): number {
  if (text === "") return DEFAULT_PORT;
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535) throw new Error("port: expected 1 to 65535");
  return port;
}

function decode(text: string, what: string): string {
  try {
    const plain = decodeURIComponent(text);
    if (!plain.includes("\0")) return plain;
  } catch {
    // said below
  }
  throw new Error(`${what}: a % stands before two hexadecimal digits; write a % itself as %25`);
}
