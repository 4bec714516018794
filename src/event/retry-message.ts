// A message of MILLRACE_RETRY: an event that waits for its time, for one automation alone, with all that is known of it. The
// same on every bus, and whoever stores it.

import { BugError, PoisonError } from "../errors.ts";
import { percentDecoded, percentEncode } from "./percent.ts";

/** An event that is to reach one automation at a time; with no attempt behind it, it is a replay. */
export interface RetryMessage {
  readonly automation: string;
  /** Where the event stands: its own stream, sequence and subject, never those of MILLRACE_RETRY. */
  readonly stream: string;
  readonly sequence: number;
  readonly subject: string;
  /** As they came. */
  readonly headers: Readonly<Record<string, string>>;
  /** Byte for byte. */
  readonly data: Uint8Array;
  /** Names a replay: its events act again, each once. `[A-Za-z0-9_-]`, at most 64. Undefined for the event's first run. */
  readonly run?: string | undefined;
  /** Handlers that were started and failed. */
  readonly attempts: number;
  /** When the first of them was started, ms since 1970. */
  readonly firstAt?: number | undefined;
  /** What the last of them failed by, as JSON has it. */
  readonly lastError?: unknown;
  /** When the next one may start, ms since 1970. */
  readonly dueAt: number;
}

/** What came along with an event out of MILLRACE_RETRY. */
export interface Carried extends Pick<RetryMessage, "attempts" | "firstAt" | "lastError" | "dueAt"> {
  /** Its number in MILLRACE_RETRY: it names nothing, for a server that was set back gives it to another one. */
  readonly at: number;
  /** The body was too large to come along: it has to be read where the event stands. */
  readonly bodyElsewhere: boolean;
}

/** A retry message as it goes onto the bus. */
export interface EncodedRetry {
  readonly subject: string;
  /** `Nats-Msg-Id`: the same however often and by whom it is stored. */
  readonly id: string;
  /** Header lines, each ended by CRLF, without the id. */
  readonly head: string;
  readonly data: Uint8Array;
}

const PREFIX = "Millrace-Retry-";
/** The server would act on these, or refuse them: in MILLRACE_RETRY they have another name. */
const SERVERS_OWN = /^Nats-/i;
const AWAY = "Millrace-Was-";
const runPattern = /^[A-Za-z0-9_-]{1,64}$/;
/** What the server allows for all header lines, less than it does. */
const MAX_HEAD_BYTES = 63 * 1024;
const MAX_ERROR_BYTES = 2048;
/** What the protocol adds to a message. */
const FRAME_BYTES = 256;
const NO_BODY = new Uint8Array();

/** The subject of what waits for an automation, which is also the filter of its durable. */
export function retrySubject(automation: string): string {
  return `retry.${automation}`;
}

/** Names one try of an event for one automation: never by its number in MILLRACE_RETRY. */
export function retryName({
  stream,
  sequence,
  run = "",
  attempts,
}: Pick<RetryMessage, "stream" | "sequence" | "run" | "attempts">): string {
  return `${stream}:${sequence}:${run}:${attempts}`;
}

/**
 * What is stored. An event that would be too large with what is said of it leaves its body where it stands.
 * @param maxPayload of the server, for header lines and body together
 * @throws PoisonError RETRY_TOO_LARGE when even its header lines are too large; BugError for a run that is no name
 */
export function encodeRetry(message: RetryMessage, maxPayload: number): EncodedRetry {
  const { automation, stream, sequence, subject, headers, data, run, attempts, firstAt, lastError, dueAt } = message;
  if (run !== undefined && !runPattern.test(run)) {
    throw new BugError("RETRY_RUN_INVALID", `a run is named by 1 to 64 letters, digits, "_" and "-", not ${run}`);
  }
  const own: readonly (readonly [name: string, value: string | undefined])[] = [
    ["Stream", stream],
    ["Sequence", String(sequence)],
    ["Subject", subject],
    ["Run", run],
    ["Attempts", String(attempts)],
    ["First-At", firstAt === undefined ? undefined : new Date(firstAt).toISOString()],
    ["Error", lastError === undefined ? undefined : errorText(lastError)],
    ["Due", new Date(dueAt).toISOString()],
  ];
  const lines = [
    ...Object.entries(headers).map(([name, value]) => `${SERVERS_OWN.test(name) ? AWAY : ""}${name}: ${value}\r\n`),
    ...own.flatMap(([name, value]) => (value === undefined ? [] : [`${PREFIX}${name}: ${value}\r\n`])),
  ].join("");
  const elsewhere = lines.length + data.length + FRAME_BYTES > maxPayload;
  const head = elsewhere ? `${lines}${PREFIX}Body: ${data.length}\r\n` : lines;
  if (head.length > Math.min(MAX_HEAD_BYTES, maxPayload - FRAME_BYTES)) {
    throw new PoisonError(
      "RETRY_TOO_LARGE",
      `an event with ${head.length} bytes of headers cannot wait for its retry`,
      {
        hint: "raise max_payload of nats-server; the event is in its dead letter",
      },
    );
  }
  const id = `${retryName(message)}:${automation}`;
  return { subject: retrySubject(automation), id, head, data: elsewhere ? NO_BODY : data };
}

/** What was read of a retry message. */
export interface DecodedRetry extends Omit<RetryMessage, "automation" | "data" | "dueAt"> {
  readonly dueAt: number;
  readonly bodyElsewhere: boolean;
}

/** The event in it, and what came along; undefined where something else than Millrace has stored it. */
export function decodeRetry(all: Readonly<Record<string, string>>): DecodedRetry | undefined {
  const own = (name: string): string | undefined => all[`${PREFIX}${name}`];
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(all)) {
    if (name.startsWith(PREFIX) || SERVERS_OWN.test(name)) continue;
    headers[name.startsWith(AWAY) ? name.slice(AWAY.length) : name] = value;
  }
  const [stream, subject, run] = [own("Stream"), own("Subject"), own("Run")];
  const [sequence, attempts] = [Number(own("Sequence")), Number(own("Attempts"))];
  const dueAt = Date.parse(own("Due") ?? "");
  const firstAt = Date.parse(own("First-At") ?? "");
  const whole = Number.isSafeInteger(sequence) && Number.isSafeInteger(attempts) && attempts >= 0;
  if (stream === undefined || subject === undefined || !whole || Number.isNaN(dueAt)) return undefined;
  const error = errorOf(own("Error"));
  return {
    stream,
    sequence,
    subject,
    headers,
    ...(run !== undefined && { run }),
    attempts,
    ...(Number.isNaN(firstAt) ? {} : { firstAt }),
    ...(error !== undefined && { lastError: error }),
    dueAt,
    bodyElsewhere: own("Body") !== undefined,
  };
}

/** As one header's value; of one that is long only what names it. */
function errorText(error: unknown): string {
  const text = percentEncode(JSON.stringify(error));
  if (text.length <= MAX_ERROR_BYTES) return text;
  const { name, code, message } = error as { name?: unknown; code?: unknown; message?: unknown };
  const short = (value: unknown): string | undefined => (typeof value === "string" ? value.slice(0, 100) : undefined);
  return percentEncode(JSON.stringify({ name: short(name), code: short(code), message: short(message) }));
}

function errorOf(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(percentDecoded(text));
  } catch {
    return undefined;
  }
}
