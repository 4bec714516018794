// How the bus is reached: which servers, as whom, and over which TLS.

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from "@nats-io/transport-node";
import { ConfigError, toError } from "../../../errors.ts";
import { percentDecoded } from "../../../event/percent.ts";

export interface BusAccess {
  /** Urls of one cluster; user, password or token may stand in them. */
  readonly servers: readonly string[];
  readonly credentials?: BusCredentials | undefined;
  /** An empty one: only over TLS, with the authorities that Node brings. */
  readonly tls?: BusTls | undefined;
}

/** One of them. */
export interface BusCredentials {
  /** Path of a `.creds` file: a user's JWT and its seed. */
  readonly file?: string | undefined;
  /** The seed of an NKey: `SU…`. */
  readonly nkey?: string | undefined;
  readonly token?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
}

/** Paths of PEM files. */
export interface BusTls {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

type Dialled = Pick<ConnectionOptions, "authenticator" | "tls"> & { readonly servers: string[] };

/**
 * What the client needs; files are read again at each of its connections.
 * @throws ConfigError BUS_CREDENTIALS, BUS_TLS_FILE
 */
export async function dialOptions({ servers, credentials, tls }: BusAccess): Promise<Dialled> {
  const parts = servers.map((server) => /^(?<scheme>\w+:\/\/)?(?:(?<who>[^@]*)@)?(?<host>.*)$/.exec(server)?.groups);
  const who = parts.find((part) => part?.who)?.who;
  const authenticator = credentials === undefined ? fromUrl(who) : await fromCredentials(credentials);
  // The client itself takes a tls:// as a wish.
  const asked = tls ?? (parts.some((part) => part?.scheme === "tls://") ? {} : undefined);
  return {
    servers: addressesOf(servers),
    ...(authenticator === undefined ? {} : { authenticator }),
    ...(asked === undefined ? {} : { tls: await tlsFiles(asked) }),
  };
}

/** The urls without user, password and token: what may be printed. */
export function addressesOf(servers: readonly string[]): string[] {
  return servers.map((server) => server.replace(/^(\w+:\/\/)?[^@]*@/, "$1"));
}

/** `nats://user:password@host` or `nats://token@host`: the client takes them only apart from the address. */
function fromUrl(who: string | undefined): Authenticator | undefined {
  if (who === undefined) return undefined;
  const [name = "", password] = who.split(/:(.*)/s).map(percentDecoded);
  return password === undefined ? tokenAuthenticator(name) : usernamePasswordAuthenticator(name, password);
}

async function fromCredentials({ file, nkey, token, user, password }: BusCredentials): Promise<Authenticator> {
  if (file !== undefined) return usable(credsAuthenticator(keepingLast(file, await read(file))), `the file ${file}`);
  if (nkey !== undefined) return usable(nkeyAuthenticator(new TextEncoder().encode(nkey)), "bus.credentials.nkey");
  if (token !== undefined) return tokenAuthenticator(token);
  return usernamePasswordAuthenticator(user ?? "", password);
}

async function read(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new ConfigError("BUS_CREDENTIALS", `bus.credentials.file: ${toError(cause).message}`, {
      hint: "Give it the path of a .creds file that this process may read, as nsc writes it.",
      cause,
    });
  }
}

/** The file as it is now; while it cannot be read, as it was: it may be being replaced. */
function keepingLast(file: string, first: Uint8Array): () => Uint8Array {
  let last = first;
  return () => {
    try {
      last = readFileSync(file);
    } catch {
      // the server says whether the last one still serves
    }
    return last;
  };
}

/** Tried once: the client would only say that it was disconnected. */
function usable(authenticator: Authenticator, what: string): Authenticator {
  try {
    authenticator("nonce");
    return authenticator;
  } catch {
    // The library's words may quote the key.
    throw new ConfigError("BUS_CREDENTIALS", `${what} holds no credentials that can be read`, {
      hint: "A .creds file has a user's JWT and a seed, as nsc writes it; an nkey is a user's seed and begins with SU.",
    });
  }
}

async function tlsFiles({ ca, cert, key }: BusTls): Promise<NonNullable<ConnectionOptions["tls"]>> {
  try {
    const [caText, certText, keyText] = await Promise.all(
      [ca, cert, key].map((path) => (path === undefined ? undefined : readFile(path, "utf8"))),
    );
    createSecureContext({
      ...(caText === undefined ? {} : { ca: caText }),
      ...(certText === undefined ? {} : { cert: certText }),
      ...(keyText === undefined ? {} : { key: keyText }),
    });
  } catch (cause) {
    throw new ConfigError("BUS_TLS_FILE", `bus.tls cannot be used: ${toError(cause).message}`, {
      hint: "ca, cert and key are paths of PEM files that this process may read; the key belongs to the certificate.",
      cause,
    });
  }
  return {
    ...(ca === undefined ? {} : { caFile: ca }),
    ...(cert === undefined ? {} : { certFile: cert }),
    ...(key === undefined ? {} : { keyFile: key }),
  };
}
