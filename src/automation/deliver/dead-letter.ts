// A dead letter: the whole event, why it ended here, and how often it was tried.

import type { Bus } from "../../bus/bus.ts";
import type { Delivery } from "../../bus/subscription.ts";
import { PoisonError } from "../../errors.ts";
import type { DeadReason } from "../../event/dead-reason.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { ErrorSummary } from "../outcome/error-summary.ts";

export interface DeadLetter {
  readonly reason: DeadReason;
  readonly automation: string;
  /** The replay that it ended in; left out for the event's first run. */
  readonly run?: string;
  /** Handlers that were started. */
  readonly attempts: number;
  /** When the first one was started, RFC 3339; null when none was. */
  readonly firstAt: string | null;
  readonly error: ErrorSummary;
  readonly event: DeadEvent;
}

export interface DeadEvent {
  readonly stream: string;
  readonly sequence: number;
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body as it came, when it is UTF-8; else `base64` holds it. Both are missing when it was too large to come along. */
  readonly data?: string;
  readonly base64?: string;
  readonly dataBytes: number;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** `ce-id` of the dead letter of an event, in a run of it. */
function letterId(automation: string, { stream, sequence, run }: Delivery): string {
  return `${stream}:${sequence}:${automation}${run === undefined ? "" : `:${run}`}`;
}

/**
 * By which the bus knows what is stored of it once more, by whoever has the event behind a crash; with the event's own id, for a
 * server that was set back gives its number to another one.
 */
export function onceId(automation: string, delivery: Delivery): string {
  return `${letterId(automation, delivery)}:${delivery.header("ce-id") ?? ""}`;
}

/**
 * Stores the dead letter; resolves at the bus' acknowledgement.
 * @param since where it may be stored already, by whoever had the event before a crash: since when, ms since 1970. It is looked for
 * then, and stored once. Without it the bus drops a second one for as long as it remembers the ids of what it stored.
 * @throws TransientError when the bus was closed
 */
export async function storeDeadLetter(
  bus: Bus,
  source: SourceId,
  delivery: Delivery,
  letter: Omit<DeadLetter, "event">,
  since?: number,
): Promise<void> {
  const { stream, sequence } = delivery;
  const { automation } = letter;
  const subject = `dead.${automation}`;
  const head = [
    `Nats-Msg-Id: ${onceId(automation, delivery)}`,
    "ce-specversion: 1.0",
    `ce-id: ${letterId(automation, delivery)}`,
    `ce-source: /${source}`,
    `ce-type: millrace.dead.${letter.reason}`,
    `ce-time: ${new Date().toISOString()}`,
    "content-type: application/json",
    "",
  ].join("\r\n");
  const event: DeadEvent = {
    stream,
    sequence,
    subject: delivery.subject,
    headers: delivery.headers(),
    dataBytes: delivery.data.length,
  };
  const store = (whole: DeadEvent): Promise<void> =>
    bus.deadLetter(subject, head, Buffer.from(JSON.stringify({ ...letter, event: whole })), { since });
  try {
    await store({ ...event, ...dataOf(delivery.data) });
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error;
    // Quoted inside JSON it grew beyond what the bus takes; stream and sequence still lead to it.
    await store(event);
  }
}

function dataOf(data: Uint8Array): { readonly data: string } | { readonly base64: string } {
  try {
    return { data: utf8.decode(data) };
  } catch {
    return { base64: Buffer.from(data).toString("base64") };
  }
}
