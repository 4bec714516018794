// Lineage: what caused a transaction, written into it and carried by every change of it.

import { createHash, createHmac } from "node:crypto";
import { PoisonError } from "../errors.ts";
import { percentDecode, percentEncode } from "./percent.ts";
import { traceParent } from "./trace-parent.ts";

/** The prefix of the logical message that holds it. */
export const LINEAGE_PREFIX = "millrace.lineage";

export interface Lineage {
  /** The whole chain's id: the id of the event that began it. */
  readonly correlationId: string;
  /** The id of the event that was handled. */
  readonly causationId: string;
  /** How many handlers stand between the beginning and this change; 1 for the first one's. */
  readonly hops: number;
  /** The id of the automation whose handler wrote the transaction. */
  readonly automation: string;
  /** What handled what on the way here, oldest first (see `visitOf`): so that a circle is seen. */
  readonly trail: readonly string[];
  /** W3C's, of who writes the transaction: its changes continue that trace. One that is none is left out. */
  readonly traceparent?: string | undefined;
}

/** What the changes of a transaction say of its cause. */
export interface CarriedLineage extends Pick<Lineage, "correlationId" | "causationId" | "traceparent"> {
  /** Undefined where the proof is missing that `tx()` wrote it. */
  readonly proven: Pick<Lineage, "hops" | "automation" | "trail"> | undefined;
}

/** What only `tx()` has, and no role of a database: that a lineage is its own, in this one transaction. */
export interface LineageSeal {
  readonly key: string;
  /** The transaction's id; only its lower 32 bits count, for the log has no more. */
  readonly transaction: string;
}

const MAX_TEXT = 1024;
/** Far beyond any limit of hops. */
const MAX_TRAIL = 256;
const visit = /^[a-z][a-z0-9-]{0,62}~[0-9a-f]{16}$/;

/**
 * An automation and what it handled, for the trail: source and key are only hashed.
 * @param source `ce-source` @param subject `ce-subject`, which is the same for equal tables of two sources
 */
export function visitOf(automation: string, source: string, subject: string): string {
  return `${automation}~${createHash("sha256").update(`${source} ${subject}`).digest("hex").slice(0, 16)}`;
}

/** What the headers of an event say; undefined when nobody said what caused it. */
export function lineageOf(message: { header(name: string): string | undefined }): Lineage | undefined {
  const hops = message.header("ce-hops");
  if (hops === undefined) return undefined;
  const text = (name: string): string => percentDecode(message.header(name) ?? "");
  return {
    correlationId: text("ce-correlationid"),
    causationId: text("ce-causationid"),
    hops: Number(hops),
    automation: text("ce-automation"),
    trail: message.header("ce-trail")?.split(",") ?? [],
  };
}

/** The logical message's content. @throws PoisonError LINEAGE_MALFORMED */
export function lineageText(lineage: Lineage, seal?: LineageSeal): string {
  const said = checked(lineage);
  // The trace is no part of what is proven: it stops nobody, and an older worker's proof is without it.
  const traceparent = traceParent(lineage.traceparent);
  return JSON.stringify({ ...said, ...(seal && { proof: proofOf(said, seal) }), ...(traceparent && { traceparent }) });
}

/**
 * What the changes of a transaction carry of a logical message's content. Any role may write such a message: one without the
 * proof still says what caused what, but neither hops nor trail, by which an automation is stopped.
 * @throws PoisonError LINEAGE_MALFORMED
 */
export function carriedLineage(content: string, seal: LineageSeal): CarriedLineage {
  const { proof, traceparent, ...lineage } = parse(content);
  const { correlationId, causationId, hops, automation, trail } = lineage;
  const proven = proof === proofOf(lineage, seal) ? { hops, automation, trail } : undefined;
  return { correlationId, causationId, proven, ...(traceparent && { traceparent }) };
}

/** The header lines of a change that carries it. */
export function lineageLines(lineage: CarriedLineage | undefined): string {
  if (lineage === undefined) return "";
  const { correlationId, causationId, proven } = lineage;
  const ids = `ce-correlationid: ${percentEncode(correlationId)}\r\nce-causationid: ${percentEncode(causationId)}\r\n`;
  if (proven === undefined) return ids;
  const { hops, automation, trail } = proven;
  const visits = trail.length === 0 ? "" : `ce-trail: ${trail.join(",")}\r\n`;
  return `${ids}ce-hops: ${hops}\r\nce-automation: ${percentEncode(automation)}\r\n${visits}`;
}

function proofOf(lineage: Lineage, { key, transaction }: LineageSeal): string {
  const id = BigInt.asUintN(32, BigInt(transaction));
  return createHmac("sha256", key)
    .update(`${id} ${JSON.stringify(lineage)}`)
    .digest("hex");
}

function parse(content: string): Lineage & { readonly proof: unknown } {
  let value: Partial<Record<keyof Lineage | "proof", unknown>> | null;
  try {
    value = JSON.parse(content) as typeof value;
  } catch {
    throw malformed(); // the parser's message would quote the content
  }
  return { ...checked(value ?? {}), proof: value?.proof, traceparent: traceParent(value?.traceparent) };
}

function checked(value: Partial<Record<keyof Lineage, unknown>>): Lineage {
  const { correlationId, causationId, hops, automation, trail = [] } = value;
  if (!isCauseId(correlationId) || !isCauseId(causationId) || !isCauseId(automation)) throw malformed();
  if (typeof hops !== "number" || !Number.isSafeInteger(hops) || hops < 0) throw malformed();
  if (!Array.isArray(trail) || trail.length > MAX_TRAIL || !trail.every(isVisit)) throw malformed();
  return { correlationId, causationId, hops, automation, trail };
}

function isVisit(value: unknown): value is string {
  return typeof value === "string" && visit.test(value);
}

/** Whether it can be the id of an event that caused another. */
export function isCauseId(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT;
}

function malformed(): PoisonError {
  return new PoisonError("LINEAGE_MALFORMED", `a message ${LINEAGE_PREFIX} does not say what caused its transaction`, {
    hint: "write it with writeLineage() of millrace/outbox; the prefixes that begin with millrace. are Millrace's own",
  });
}
