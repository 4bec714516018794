// Which kinds of connection sslmode allows, in the order in which they are tried, and what TLS checks in each.

import { homedir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, createSecureContext, type SecureVersion } from "node:tls";
import { ConfigError } from "../../../errors.ts";
import { existing, isOpenToOthers, readText } from "./private-file.ts";

/** False is a connection without TLS. */
export type Encryption = false | ConnectionOptions;

type Parameters = Readonly<Record<string, string>>;

/** Where systems keep the authorities they trust: Debian, Red Hat, Alpine and macOS. */
const SYSTEM_ROOTS: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/cert.pem",
];

/**
 * Reads the files anew each time, so that a renewed certificate needs no restart.
 * @throws ConfigError TLS_FILE_UNUSABLE
 */
export async function encryptionsOf(host: string, parameters: Parameters): Promise<readonly Encryption[]> {
  const mode = parameters.sslmode ?? (parameters.sslrootcert === "system" ? "verify-full" : "prefer");
  if (mode === "disable" || host.startsWith("/")) return [false];
  const tls = await tlsOptions(mode, parameters);
  if (mode === "allow") return [false, tls];
  return mode === "prefer" ? [tls, false] : [tls];
}

async function tlsOptions(mode: string, parameters: Parameters): Promise<ConnectionOptions> {
  const ca = await authorities(mode, parameters);
  const verified = mode.startsWith("verify-") || (mode === "require" && ca !== undefined);
  return {
    rejectUnauthorized: verified,
    ...(mode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
    secureContext: await context(ca, parameters),
  };
}

/** Undefined: those that Node brings. */
async function authorities(mode: string, { sslrootcert }: Parameters): Promise<string | undefined> {
  if (sslrootcert === "system") return systemRoots();
  const file = sslrootcert ?? (await existing(join(homedir(), ".postgresql/root.crt")));
  if (file !== undefined && mode !== "prefer" && mode !== "allow") return readText(file, "sslrootcert");
  if (mode === "verify-ca") {
    throw new ConfigError("TLS_FILE_UNUSABLE", "sslmode=verify-ca: there is no sslrootcert to verify by", {
      hint: "Name the file of the authority's certificate in sslrootcert, or use sslmode=verify-full.",
    });
  }
  return mode === "verify-full" ? systemRoots() : undefined;
}

async function systemRoots(): Promise<string | undefined> {
  const places = await Promise.all([process.env.SSL_CERT_FILE ?? "", ...SYSTEM_ROOTS].map(existing));
  const file = places.find((place) => place !== undefined);
  return file === undefined ? undefined : readText(file, "sslrootcert=system");
}

async function context(ca: string | undefined, parameters: Parameters): Promise<ConnectionOptions["secureContext"]> {
  const { sslcrl, sslpassword, ssl_min_protocol_version: lowest, ssl_max_protocol_version: highest } = parameters;
  const options = {
    ...(ca === undefined ? {} : { ca }),
    ...(await clientCertificate(parameters)),
    ...(sslcrl === undefined ? {} : { crl: await readText(sslcrl, "sslcrl") }),
    ...(sslpassword === undefined ? {} : { passphrase: sslpassword }),
    ...(lowest === undefined ? {} : { minVersion: lowest as SecureVersion }),
    ...(highest === undefined ? {} : { maxVersion: highest as SecureVersion }),
  };
  try {
    return createSecureContext(options);
  } catch (cause) {
    throw new ConfigError(
      "TLS_FILE_UNUSABLE",
      `the certificates of the url cannot be used: ${(cause as Error).message}`,
      {
        hint: "sslrootcert, sslcert, sslkey and sslcrl are PEM files, the key belongs to the certificate, and sslpassword opens it where it is encrypted.",
        cause,
      },
    );
  }
}

async function clientCertificate({
  sslcertmode,
  sslcert,
  sslkey,
}: Parameters): Promise<{ cert?: string; key?: string }> {
  const own = join(homedir(), ".postgresql");
  const certFile = sslcert ?? (await existing(join(own, "postgresql.crt")));
  if (certFile === undefined || sslcertmode === "disable") return {};
  const keyFile = sslkey ?? join(own, "postgresql.key");
  const cert = await readText(certFile, "sslcert"); // one by one, so that of two that are missing always the same is named
  const key = await readText(keyFile, "sslkey");
  if (await isOpenToOthers(keyFile)) {
    throw new ConfigError("TLS_FILE_UNUSABLE", `sslkey: others than its owner may read ${keyFile}`, {
      hint: `chmod 600 ${keyFile}`,
    });
  }
  return { cert, key };
}
