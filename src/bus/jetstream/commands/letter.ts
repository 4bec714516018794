// A message of MILLRACE_DEAD as commands show it: an automation's letter, or a source's row that never became an event.

import type { StoredMsg } from "@nats-io/jetstream";
import { type FingerprintedError, fingerprintOf } from "../../../event/fingerprint.ts";
import { percentDecoded } from "../../../event/percent.ts";

/** One dead letter. */
export interface Letter {
  /** Its number in MILLRACE_DEAD. */
  readonly id: number;
  /** Null for a source's row. */
  readonly automation: string | null;
  /** Null for an automation's event. */
  readonly source: string | null;
  /** Of a source's row the code of its error. */
  readonly reason: string;
  /** The replay or seek that it was of; null for the event's first run. */
  readonly run: string | null;
  readonly attempts: number;
  /** When the first handler was started; null when none was. */
  readonly firstAt: string | null;
  /** When it was stored. */
  readonly at: string;
  /** As the letter has it. */
  readonly error: Readonly<Record<string, unknown>>;
  readonly fingerprint: string;
  /** The event that it holds; null for a source's row, and for what is no letter of ours. */
  readonly event: {
    readonly stream: string;
    readonly sequence: number;
    readonly subject: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly dataBytes: number;
  } | null;
  /** Byte for byte; undefined where it was too large to come along. */
  readonly body: Uint8Array | undefined;
  /** Of a source's row: what is said of it. */
  readonly row: Readonly<Record<string, string>> | null;
}

const SOURCE = "dead._source.";

/** What can be read of it: somebody else may have stored anything there. */
export function letterOf(message: Pick<StoredMsg, "seq" | "subject" | "header" | "data" | "time">): Letter {
  const common = { id: message.seq, at: message.time.toISOString() };
  if (message.subject.startsWith(SOURCE)) {
    const header = (name: string): string => message.header.get(name);
    const error = { name: "PoisonError", code: header("Millrace-Error") };
    return {
      ...common,
      automation: null,
      source: message.subject.slice(SOURCE.length),
      reason: header("Millrace-Error") || "unknown",
      run: null,
      attempts: 0,
      firstAt: null,
      error,
      fingerprint: fingerprintOf(textsIn(error)),
      event: null,
      body: message.data,
      row: { id: header("ce-id"), position: header("Millrace-Position"), size: header("Millrace-Size") },
    };
  }
  const body = parsed(message.data);
  const error = objectIn(body.error);
  const event = objectIn(body.event);
  const headers = objectIn(event.headers) as Readonly<Record<string, string>>;
  const known = typeof event.stream === "string" && typeof event.sequence === "number";
  const data = typeof event.data === "string" ? Buffer.from(event.data) : undefined;
  const base64 = typeof event.base64 === "string" ? Buffer.from(event.base64, "base64") : undefined;
  return {
    ...common,
    automation: message.subject.slice("dead.".length),
    source: null,
    reason: typeof body.reason === "string" ? body.reason : "unknown",
    run: typeof body.run === "string" ? body.run : null,
    attempts: typeof body.attempts === "number" ? body.attempts : 0,
    firstAt: typeof body.firstAt === "string" ? body.firstAt : null,
    error,
    fingerprint: fingerprintOf(textsIn(error)),
    event: known
      ? {
          stream: String(event.stream),
          sequence: Number(event.sequence),
          subject: String(event.subject),
          headers,
          dataBytes: Number(event.dataBytes ?? data?.length ?? base64?.length ?? 0),
        }
      : null,
    body: data ?? base64,
    row: null,
  };
}

/** A header of the event, decoded. */
export function headerOf(letter: Letter, name: string): string | undefined {
  const value = letter.event?.headers[name];
  return value === undefined ? undefined : percentDecoded(value);
}

/** Only what has the right type. */
function textsIn({ name, code, message, at }: Readonly<Record<string, unknown>>): FingerprintedError {
  const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
  const frames = Array.isArray(at) ? at.filter((one) => typeof one === "string") : [];
  return { name: text(name), code: text(code), message: text(message), at: frames };
}

function parsed(data: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return objectIn(JSON.parse(Buffer.from(data).toString("utf8")));
  } catch {
    return {};
  }
}

function objectIn(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
