// Where the worker's HTTP port listens, and who may read it.

import { isIP } from "node:net";
import { ConfigError } from "../errors.ts";
import { rememberSecret } from "../telemetry/redact.ts";
import { Secret } from "../telemetry/secret.ts";

export interface HttpConfig {
  readonly host: string;
  readonly port: number;
  /** What a reader must send as `Authorization: Bearer …`. */
  readonly token: Secret<string> | undefined;
}

/**
 * The configured place, or the one in MILLRACE_HTTP.
 * @throws ConfigError CONFIG_INVALID when MILLRACE_HTTP is no `host:port`
 */
export function resolveHttp(
  configured: { readonly host: string; readonly port: number },
  environment: NodeJS.ProcessEnv,
): HttpConfig {
  const named = environment.MILLRACE_HTTP;
  const { host, port } = named ? parseHostPort(named) : configured;
  const token = environment.MILLRACE_HTTP_TOKEN || undefined;
  if (token !== undefined) rememberSecret(token);
  return { host, port, token: token === undefined ? undefined : new Secret(token) };
}

/** For whoever listens, not for who only asks a database. @throws ConfigError HTTP_TOKEN_MISSING */
export function refuseOpenHttp({ host, token }: HttpConfig): void {
  if (token !== undefined || isLoopback(host)) return;
  throw new ConfigError("HTTP_TOKEN_MISSING", `http: ${host} can be reached by others and no token is set`, {
    hint: "Set MILLRACE_HTTP_TOKEN to a long random text, or listen on 127.0.0.1.",
  });
}

function parseHostPort(text: string): { host: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(digits) > 65_535) {
    throw new ConfigError("CONFIG_INVALID", "MILLRACE_HTTP: expected host:port", {
      hint: "Write it like 127.0.0.1:9464 or [::1]:9464.",
    });
  }
  return { host, port: Number(digits) };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
