// What says that the endpoint is wrong, and not only away: TLS where there is none, a certificate that nobody trusts, somebody else's answers.

import { ConfigError } from "../../../errors.ts";

const TRUST = /^(CERT_|ERR_TLS_CERT_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF))/;
const hints: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "Renew the server's certificate; see that both clocks are right.",
  CERT_NOT_YET_VALID: "See that both clocks are right.",
  ERR_TLS_CERT_ALTNAME_INVALID: "The certificate is another host's: use the name that it has in endpoint.",
};
const NAME_AUTHORITY =
  "Name the certificate of the authority that signed it: NODE_EXTRA_CA_CERTS=<path> in the worker's environment.";

/** Who answers is not DynamoDB. @param what it was that came */
export function notDynamo(what: string, cause?: unknown): ConfigError {
  return new ConfigError("ENDPOINT_FOREIGN", `what answers is not DynamoDB: ${what}`, {
    hint: "Correct endpoint: it is for both DynamoDB and its streams, and is left out for AWS itself. Is a proxy or a firewall between that answers by itself?",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** What a connection has broken by, where trying again is no use; undefined where it may be. */
export function connectionError(error: Error): ConfigError | undefined {
  const code = codeOf(error);
  const message = connectionText(error);
  if (TRUST.test(code))
    return new ConfigError("TLS_UNTRUSTED", `DynamoDB: the server's TLS certificate is not trusted: ${message}`, {
      hint: hints[code] ?? NAME_AUTHORITY,
      cause: error,
    });
  if (code === "EPROTO" || /^ERR_(SSL|TLS|OSSL)/.test(code)) {
    const isPlain = /wrong version number|packet length too long|http request/i.test(error.message);
    return isPlain
      ? new ConfigError("TLS_MISMATCH", "DynamoDB: the endpoint takes no TLS, and its url is https", {
          hint: "Write endpoint with http:// if that server is the one and the network is trusted; else correct its host and port.",
          cause: error,
        })
      : new ConfigError("TLS_FAILED", `DynamoDB: TLS could not be agreed on: ${message}`, {
          hint: "See the versions of TLS that both ends allow, and that DynamoDB answers there.",
          cause: error,
        });
  }
  return code.startsWith("HPE_") ? notDynamo("it speaks no HTTP", error) : undefined;
}

/** In one line; never empty, as that of several addresses that were tried is. */
export function connectionText(error: Error): string {
  const texts = error instanceof AggregateError ? error.errors.map((one: Error) => one.message) : [error.message];
  const [line = ""] = (texts.filter(Boolean).join("; ") || codeOf(error) || error.name).split("\n");
  return line.replace(/[0-9A-F]{8,}:error:[0-9A-F]+:/, "").replace(/:\.\.\/deps\/.*$/, "");
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : "";
}
