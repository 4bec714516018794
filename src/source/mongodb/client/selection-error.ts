// Why no server could be chosen, where it is not that none is there: ends that cannot agree on TLS, another replica set.

import type { MongoOptions, TopologyDescription } from "mongodb";
import { ConfigError } from "../../../errors.ts";
import { driver } from "./driver.ts";

const PROBE_MS = 2_000;

const untrusted: Readonly<Record<string, string>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: "The certificate is another host's: use the name that it has in the url.",
  CERT_HAS_EXPIRED: "Renew the server's certificate; see that both clocks are right.",
  CERT_NOT_YET_VALID: "See that both clocks are right.",
  DEPTH_ZERO_SELF_SIGNED_CERT: "",
  SELF_SIGNED_CERT_IN_CHAIN: "",
  UNABLE_TO_GET_ISSUER_CERT: "",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "",
};
const NAME_AUTHORITY = "Name the certificate of the authority that signed it in the url: tlsCAFile=<path>.";

/** Undefined where it says no more than that no server can be reached. */
export async function selectionError(thrown: unknown, { tls }: MongoOptions): Promise<ConfigError | undefined> {
  if (!(thrown instanceof driver().MongoServerSelectionError)) return undefined;
  const reason = thrown.reason as TopologyDescription | undefined;
  if (reason === undefined) return undefined;
  const otherSet = await otherReplicaSet(reason, { tls, cause: thrown });
  if (otherSet !== undefined) return otherSet;
  for (const { address, error } of reason.servers.values()) {
    const found = error && tlsError(error, address);
    if (found) return found;
    // A server that wants TLS hangs up on whoever comes without, as one without does on whoever comes with it, or waits for more.
    const mayBe = error === null ? tls : /closed|disconnected|hang up|ECONNRESET/i.test(textOf(error));
    if (!mayBe || !(await takes(address, !tls))) continue;
    const [message, hint] = tls
      ? [
          "takes no TLS, and the url asks for it",
          "Set tls=false in the url if the network is trusted, or net.tls.mode at the server.",
        ]
      : [
          "takes TLS alone",
          "Set tls=true in the url, and tlsCAFile=<path> where a private authority signed its certificate.",
        ];
    return new ConfigError("TLS_MISMATCH", `${address}: the server ${message}`, { hint, cause: error ?? thrown });
  }
  return undefined;
}

/** All that answered, and nobody of them belongs to the replica set that the url names. */
async function otherReplicaSet(
  { type, setName, servers }: TopologyDescription,
  { tls, cause }: { readonly tls: boolean; readonly cause: Error },
): Promise<ConfigError | undefined> {
  if (setName === null) return undefined;
  const [only] = servers.values();
  // Of the members of a set all others are forgotten; one that is asked directly stays, and only counts as unknown.
  const isOther = only === undefined || (type === "Single" && only.error === null && (await takes(only.address, tls)));
  if (!isOther) return undefined;
  return new ConfigError("REPLICA_SET_UNKNOWN", `no host of the url belongs to a replica set ${setName}`, {
    hint: "Correct replicaSet in the url, or leave it out: rs.status().set in mongosh is the name.",
    cause,
  });
}

function tlsError(error: Error, address: string): ConfigError | undefined {
  const codes = [...chainOf(error)].map((one) => ("code" in one ? String(one.code) : ""));
  const trust = codes.find((code) => code in untrusted);
  if (trust !== undefined) {
    return new ConfigError(
      "TLS_UNTRUSTED",
      `${address}: the server's TLS certificate is not trusted: ${error.message}`,
      {
        hint: untrusted[trust] || NAME_AUTHORITY,
        cause: error,
      },
    );
  }
  if (!codes.some((code) => /^(ERR_SSL|ERR_TLS|ERR_OSSL|EPROTO)/.test(code))) return undefined;
  return new ConfigError("TLS_FAILED", `${address}: TLS could not be agreed on: ${error.message}`, {
    hint: "See the versions of TLS that both ends allow, that a MongoDB server answers there, and whether it wants a certificate of this client (tlsCertificateKeyFile in the url).",
    cause: error,
  });
}

/** Whether a server answers there with TLS, or without. It is told nothing about who asks. */
async function takes(address: string, tls: boolean): Promise<boolean> {
  const client = new (driver().MongoClient)(`mongodb://${address}/`, {
    directConnection: true,
    serverSelectionTimeoutMS: PROBE_MS,
    connectTimeoutMS: PROBE_MS,
    tls,
    ...(tls && { tlsAllowInvalidCertificates: true }),
  });
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.close();
  }
}

function textOf(error: Error): string {
  return [...chainOf(error)].map((one) => `${one.message} ${"code" in one ? String(one.code) : ""}`).join(" ");
}

function* chainOf(error: Error): Generator<Error> {
  for (let at: unknown = error; at instanceof Error; at = at.cause) yield at;
}
