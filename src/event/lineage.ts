// Lineage: what caused a transaction, written into it and carried by every change of it.

import { PoisonError } from "../errors.ts";
import { percentEncode } from "./message.ts";

/** The prefix of the logical message that holds it. */
export const LINEAGE_PREFIX = "millrace.lineage";

export interface Lineage {
  /** Of the whole chain: the id of the event that began it. */
  readonly correlationId: string;
  /** The id of the event that was handled. */
  readonly causationId: string;
  /** How many handlers stand between the beginning and this change; 1 for the first one's. */
  readonly hops: number;
  /** The id of the automation whose handler wrote the transaction. */
  readonly automation: string;
}

const MAX_TEXT = 1024;

/** The logical message's content. */
export function lineageText({ correlationId, causationId, hops, automation }: Lineage): string {
  return JSON.stringify({ correlationId, causationId, hops, automation });
}

/**
 * The header lines of a change that carries it.
 * @throws PoisonError LINEAGE_MALFORMED
 */
export function lineageLines(content: string): string {
  const { correlationId, causationId, hops, automation } = parse(content);
  return `ce-correlationid: ${percentEncode(correlationId)}\r\nce-causationid: ${percentEncode(causationId)}\r\nce-hops: ${hops}\r\nce-automation: ${percentEncode(automation)}\r\n`;
}

function parse(content: string): Lineage {
  let value: Partial<Record<keyof Lineage, unknown>> | null;
  try {
    value = JSON.parse(content) as typeof value;
  } catch {
    throw malformed(); // the parser's message would quote the content
  }
  const { correlationId, causationId, hops, automation } = value ?? {};
  if (!isText(correlationId) || !isText(causationId) || !isText(automation)) throw malformed();
  if (typeof hops !== "number" || !Number.isSafeInteger(hops) || hops < 0) throw malformed();
  return { correlationId, causationId, hops, automation };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT;
}

function malformed(): PoisonError {
  return new PoisonError("LINEAGE_MALFORMED", `a message ${LINEAGE_PREFIX} does not say what caused its transaction`, {
    hint: "write it with writeLineage() of millrace/outbox; the prefixes that begin with millrace. are Millrace's own",
  });
}
