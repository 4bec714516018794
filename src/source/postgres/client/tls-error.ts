// What went wrong between two ends that could not agree on TLS, in words that name TLS and what mends it.

import { TLSSocket } from "node:tls";
import { ConfigError, type MillraceError } from "../../../errors.ts";

const PAGE = "docs/operations/tls.md";

/** The driver has no code for it. */
const NO_TLS = "The server does not support SSL connections";

const untrusted: Readonly<Record<string, string>> = {
  ERR_TLS_CERT_ALTNAME_INVALID:
    "The certificate is another host's: use the name that it has in the url, or sslmode=verify-ca, which does not look at the name.",
  CERT_HAS_EXPIRED: "Renew the server's certificate; see that both clocks are right.",
  CERT_NOT_YET_VALID: "See that both clocks are right.",
  CERT_REVOKED: "The list in sslcrl revokes the server's certificate: give the server another one.",
};

/**
 * The error of a connection that was to be made with TLS; undefined for what is not about TLS.
 * @param at the host and port
 * @param stream the connection's socket, as it is now
 * @param verified whether the server's certificate had to be trusted
 */
export function tlsError(error: Error, at: string, stream: unknown, verified: boolean): MillraceError | undefined {
  if (error.message === NO_TLS) {
    return new ConfigError("TLS_MISSING", `${at}: the server takes no TLS, and sslmode asks for it`, {
      hint: `Set ssl = on at the server, with a certificate; or sslmode=prefer, which goes without, if the network is trusted: ${PAGE}.`,
      cause: error,
    });
  }
  if (!(stream instanceof TLSSocket)) return undefined;
  const code = "code" in error ? String(error.code) : "";
  if (verified && stream.authorizationError) {
    return new ConfigError("TLS_UNTRUSTED", `${at}: the server's TLS certificate is not trusted: ${error.message}`, {
      hint: `${untrusted[code] ?? "Name the certificate of the authority that signed it in sslrootcert (a self-signed one is its own authority)."} More: ${PAGE}.`,
      cause: error,
    });
  }
  if (!/^(ERR_SSL|ERR_TLS|ERR_OSSL|EPROTO)/.test(code)) return undefined;
  return new ConfigError("TLS_FAILED", `${at}: TLS could not be agreed on: ${error.message}`, {
    hint: `${/certificate|unknown ca/i.test(error.message) ? "The server refused this client's certificate, or wants one: see sslcert and sslkey, and the server's ssl_ca_file." : "See the versions of TLS that both ends allow, and that a Postgres answers there."} More: ${PAGE}.`,
    cause: error,
  });
}
