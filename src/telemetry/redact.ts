// Keeps secrets out of everything that is printed: logs, errors, status.

import { percentDecoded } from "../event/percent.ts";

const REDACTED = "[redacted]";
/** Shorter ones would blot out ordinary words; inside a url they are found by their place. */
const SHORTEST_BY_VALUE = 6;

const secrets = new Set<string>();

/**
 * From now on `redact` replaces this text wherever it stands. Process-wide on purpose: a secret that one part has
 * loaded must not be printed by any other.
 */
export function rememberSecret(secret: string): void {
  if (secret.length < SHORTEST_BY_VALUE) return;
  for (const form of [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]) secrets.add(form);
}

/** Remembers what is secret in a url: its password, and a user name without one where it is a token (NATS). */
export function rememberUrlSecrets(text: string): void {
  // Several hosts are no host to the parser, and which they are does not matter here.
  const alone = text.replace(/^([a-z][a-z0-9+.-]*:\/\/(?:[^/?#]*@)?)[^/?#]*/i, "$1host");
  const url = URL.canParse(alone) ? new URL(alone) : undefined;
  if (url === undefined) return;
  const user = percentDecoded(url.username);
  const password = percentDecoded(url.password);
  // A password that only repeats the name says nothing, and blotting it out would hide the name everywhere.
  if (password !== "" && password !== user) remember(url.password, password);
  if (password === "" && user !== "" && /^(nats|tls|wss?):$/.test(url.protocol)) remember(url.username, user);
  for (const [name, value] of url.searchParams) if (/password|token|secret/i.test(name)) remember(value);
}

/** Any text with urls' passwords and all remembered secrets replaced by `[redacted]`. */
export function redact(text: string): string {
  let clean = redactUrls(text);
  for (const secret of secrets) if (clean.includes(secret)) clean = clean.replaceAll(secret, REDACTED);
  return clean;
}

/** A url, or a text with urls in it, without their passwords: `postgres://app:[redacted]@db/shop`. */
function redactUrls(text: string): string {
  if (!text.includes("://")) return text;
  return (
    text
      // `user:password@` is what an example says; a password that is really that is known by its value.
      .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s/:@"'\\]*):(?!password@)[^\s"'\\]*@/gi, `$1:${REDACTED}@`)
      .replace(/((?:nats|tls|wss?):\/\/)[^\s/:@"'\\]+@/gi, `$1${REDACTED}@`)
      .replace(/([?&][^=&\s]*(?:password|token|secret)[^=&\s]*=)[^&\s"'\\]+/gi, `$1${REDACTED}`)
  );
}

function remember(...forms: readonly string[]): void {
  for (const form of forms) rememberSecret(form);
}
