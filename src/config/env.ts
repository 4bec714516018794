// Values that come from the environment: secrets stand nowhere else.

import { ConfigError } from "../errors.ts";
import { rememberSecret } from "../telemetry/redact.ts";

/** What `env()` returns, and what JSON and YAML write out: `{ "env": "DATABASE_URL" }`. */
export interface EnvRef {
  readonly env: string;
  readonly default?: string;
}

/**
 * The value of an environment variable, read when the configuration is resolved.
 * @param fallback used when the variable is not set; without one that is a ConfigError ENV_MISSING
 * @example
 * env("DATABASE_URL")
 */
export function env(name: string, fallback?: string): EnvRef {
  return fallback === undefined ? { env: name } : { env: name, default: fallback };
}

/** Places of what must not stand in a file, not even as a default. */
const secretPlaces = new RegExp(
  `^(${[
    "sources\\.[^.]+\\.maskKey",
    "bus\\.credentials\\.(nkey|token|password)",
    "webhooks\\.[^.]+\\.(secret|bearer|basic)",
    "events\\.token",
    "endpoints\\.[^.]+\\.(secret|bearer|token|routingKey)",
  ].join("|")})$`,
);

/** The same plain data with every `EnvRef` in it replaced by its value. @throws ConfigError ENV_MISSING, SECRET_IN_FILE */
export function resolveEnv(input: unknown, path: string, environment: NodeJS.ProcessEnv): unknown {
  if (Array.isArray(input)) return input.map((item, index) => resolveEnv(item, `${path}.${index}`, environment));
  if (!isPlainObject(input)) return input;
  if (!isEnvRef(input)) {
    const entries = Object.entries(input);
    return Object.fromEntries(
      entries.map(([key, value]) => {
        const place = path === "" ? key : `${path}.${key}`;
        return [
          key,
          secretPlaces.test(place) ? secret(value, place, environment) : resolveEnv(value, place, environment),
        ];
      }),
    );
  }
  const value = environment[input.env] || input.default;
  if (value === undefined) {
    throw new ConfigError("ENV_MISSING", `${path}: the environment variable ${input.env} is not set`, {
      hint: `Set ${input.env}, or give the option a default: env("${input.env}", "…").`,
    });
  }
  return value;
}

/** A list holds several of them, of which each is right. */
function secret(input: unknown, path: string, environment: NodeJS.ProcessEnv): unknown {
  if (Array.isArray(input)) return input.map((one, index) => secret(one, `${path}.${index}`, environment));
  if (!isEnvRef(input) || input.default !== undefined) {
    throw new ConfigError("SECRET_IN_FILE", `${path}: a secret comes from the environment alone`, {
      hint: `Write ${path.split(".").findLast((part) => !/^\d+$/.test(part))}: env("NAME"), without a default, and set the variable.`,
    });
  }
  const value = environment[input.env] || undefined;
  if (value === undefined) {
    throw new ConfigError("ENV_MISSING", `${path}: the environment variable ${input.env} is not set, or empty`, {
      hint: `Set ${input.env}.`,
    });
  }
  rememberSecret(value);
  return value;
}

/** Whether a value of the configuration stands for a variable. */
export function isEnvRef(value: unknown): value is EnvRef {
  return (
    isPlainObject(value) &&
    typeof value.env === "string" &&
    (value.default === undefined || typeof value.default === "string") &&
    Object.keys(value).every((key) => key === "env" || key === "default")
  );
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
