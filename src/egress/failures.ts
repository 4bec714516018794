// What an attempt fails by where an endpoint did not take a message. Messages name the endpoint, never its url or what was sent.

import { Fatal, Retry } from "../automation/outcome/outcome.ts";
import { MillraceError, TransientError } from "../errors.ts";

/** It answered that it does not take it. */
export class NotTaken extends TransientError {
  /** Its answer's beginning, for the records of the event. */
  readonly answer: string;

  constructor(endpoint: string, status: number, answer: string) {
    const redirect = status >= 300 && status < 400 ? ": redirects are not followed" : "";
    super("ENDPOINT_REFUSED", `the endpoint ${endpoint} answered ${status}${redirect}`, {
      hint: "see what it answered in the event's dead letter: millrace dead show",
    });
    this.answer = answer;
  }
}

/** It answered 410: never again. */
export class Gone extends Fatal {
  readonly answer: string;

  constructor(endpoint: string, answer: string) {
    super(`the endpoint ${endpoint} answered 410: it is disabled (millrace endpoints resume ${endpoint})`);
    this.answer = answer;
  }
}

/** It has said when to ask again. */
export class AskedLater extends Retry {
  readonly answer: string;

  constructor(endpoint: string, status: number, afterMs: number, answer: string) {
    super({ after: afterMs });
    this.name = "NotTaken";
    this.message = `the endpoint ${endpoint} answered ${status}, and when to ask again`;
    this.answer = answer;
  }
}

/** It did not answer at all. @param thrown what looking up, connecting or asking failed by */
export function unreachable(endpoint: string, thrown: unknown): MillraceError {
  const ours = refusal(thrown);
  if (ours !== undefined) return ours;
  const { name } = (thrown ?? {}) as { readonly name?: string };
  const late = name === "TimeoutError" || name === "AbortError";
  const code = codeOf(thrown);
  const { why, hint } = late ? LATE : (known(code) ?? { why: code ?? "the connection failed", hint: SEE });
  return new TransientError("ENDPOINT_UNREACHABLE", `the endpoint ${endpoint} cannot be reached: ${why}`, {
    hint,
    cause: late ? undefined : thrown,
  });
}

const SEE = "see that it runs, and that its url is right";
const LATE = { why: "it did not answer in time", hint: "see that it runs, or give it a longer timeout" };

/** Of mail it is the library's own, with what it was behind it. */
function codeOf(thrown: unknown): string | undefined {
  const { code, originalCode } = (thrown ?? {}) as { readonly code?: unknown; readonly originalCode?: unknown };
  return [originalCode, code].find((one): one is string => typeof one === "string");
}

/** What a code alone does not tell a person. */
function known(code = ""): { readonly why: string; readonly hint: string } | undefined {
  if (code === "ENOTFOUND") return { why: "its name has no address (ENOTFOUND)", hint: "see that its url is right" };
  if (code === "ETLS")
    return {
      why: "it offers no TLS (STARTTLS), and a password is told to nobody without",
      hint: "let the mail server offer STARTTLS, or write smtps:// and its port; without user and password no TLS is asked for",
    };
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return {
      why: `its certificate is another name's (${code})`,
      hint: "write its url with the name that its certificate has",
    };
  return CERTIFICATE.test(code)
    ? {
        why: `its certificate is not trusted (${code})`,
        hint: "renew it; where an authority of your own has signed it, start the worker with NODE_EXTRA_CA_CERTS and that one's certificate",
      }
    : undefined;
}

/** As Node names what OpenSSL says of certificates. */
const CERTIFICATE = /CERT_|_CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY|DECODE|DECRYPT)|INVALID_(CA|PURPOSE)/;

/** The guard's own error, which clients wrap. */
function refusal(thrown: unknown): MillraceError | undefined {
  for (let error = thrown, depth = 0; depth < 5 && typeof error === "object" && error !== null; depth++) {
    if (error instanceof MillraceError) return error;
    const { cause, errors } = error as { readonly cause?: unknown; readonly errors?: readonly unknown[] };
    error = cause ?? errors?.[0];
  }
  return undefined;
}
