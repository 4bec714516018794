// Why a connection to NATS failed, in words that say who has to mend what.

import { once } from "node:events";
import { connect } from "node:net";
import { ConfigError, MillraceError, TransientError, toError } from "../../../errors.ts";
import { addressesOf, type BusAccess } from "./access.ts";
import { busError } from "./bus-errors.ts";

/** Why it could not be connected, as one of our errors. */
export async function whyNot(thrown: unknown, options: BusAccess): Promise<MillraceError> {
  const addresses = addressesOf(options.servers).join(", ");
  return (
    refusal(thrown, addresses, options) ??
    (await silence(thrown, options)) ??
    busError(thrown, `connect to NATS at ${addresses}`)
  );
}

/** What the server or TLS refuses, and a person has to mend. */
function refusal(thrown: unknown, addresses: string, options: BusAccess): MillraceError | undefined {
  const cause = toError(thrown);
  if (cause instanceof MillraceError) return undefined;
  if (/maximum (account active )?connections exceeded/i.test(cause.message)) {
    // Others may leave: it is waited for, as a server that is away is.
    return new TransientError("BUS_LIMIT_REACHED", `NATS at ${addresses} refused the connection: ${cause.message}`, {
      hint: "raise max_connections of the server, or of the account, or let others close theirs; it is tried again",
      cause,
    });
  }
  if (/authoriz|authentic|user.*expired/i.test(`${cause.name} ${cause.message}`)) {
    return new ConfigError("BUS_AUTH", `NATS at ${addresses} refused the connection: ${cause.message}`, {
      hint: "see bus.credentials, or user and password, or the token, in the urls of bus.servers: nats://user:password@host",
      cause,
    });
  }
  const tls = tlsReason(cause);
  if (tls === undefined) return undefined;
  if (options.tls?.cert === undefined && /alert certificate required/.test(tls))
    return certificateAsked(addresses, cause);
  return new ConfigError("BUS_TLS", `no TLS with NATS at ${addresses}: ${tls}`, {
    hint: "see bus.tls: ca is the authority that signed the server's certificate, which is for the name in the url; cert and key are what a server with `verify: true` asks for (docs/operations/tls.md)",
    cause,
  });
}

/** With TLS 1.3 a server that refuses this client's certificate ends the connection, and the client hears nothing of why. */
async function silence(thrown: unknown, { servers, tls }: BusAccess): Promise<MillraceError | undefined> {
  const [first = ""] = addressesOf(servers);
  if (toError(thrown).name !== "TimeoutError" || !(await asksForCertificate(first))) return undefined;
  if (tls?.cert === undefined) return certificateAsked(first, thrown);
  return new TransientError("BUS_UNREACHABLE", `NATS at ${first} let this client in no further than TLS`, {
    hint: "if it stays so, the server's ca_file has not signed the certificate of bus.tls.cert",
    cause: thrown,
  });
}

function certificateAsked(addresses: string, cause: unknown): ConfigError {
  return new ConfigError(
    "BUS_TLS",
    `NATS at ${addresses} asks for a certificate of this client, and bus.tls names none`,
    {
      hint: "set bus.tls.cert and bus.tls.key to one that its ca_file has signed (docs/operations/tls.md)",
      cause,
    },
  );
}

/** In the words of the error that is about TLS; undefined where none is. */
function tlsReason(error: Error): string | undefined {
  const code = "code" in error ? String(error.code) : "";
  if (/^(ERR_TLS|ERR_SSL|ERR_OSSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|CERT_)/.test(code)) {
    // OpenSSL's message is a line of its source; what it means stands apart.
    return "reason" in error && code.startsWith("ERR_SSL") ? String(error.reason) : error.message;
  }
  if (/server does not support 'tls'|'tls' is not available/.test(error.message)) return "the server takes none";
  return error.cause instanceof Error ? tlsReason(error.cause) : undefined;
}

const ANSWER_MS = 2000;

/** Whether it takes only clients with a certificate that it trusts; false where that cannot be found out. */
async function asksForCertificate(address: string): Promise<boolean> {
  const url = new URL(`nats://${address.replace(/^\w+:\/\//, "")}`);
  const socket = connect(Number(url.port || 4222), url.hostname.replace(/^\[|\]$/g, ""));
  try {
    const [greeting] = await once(socket, "data", { signal: AbortSignal.timeout(ANSWER_MS) });
    const info = JSON.parse(/^INFO (\{.*\})/.exec(String(greeting))?.[1] ?? "{}") as { readonly tls_verify?: boolean };
    return info.tls_verify === true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
