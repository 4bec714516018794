// What a handler throws may be anything: no error, one whose parts cannot be read, one that is its own cause. None of that
// may be more than a failed attempt.

import { toError } from "../../errors.ts";
import { isFatal, isRetry } from "./outcome.ts";

/** As far as anybody looks for what caused what. */
const MAX_CAUSES = 10;
const MAX_MEMBERS = 10;

/** An error and what caused it, and what caused that, from the outside in; a chain without an end is cut. */
export function* causesOf(thrown: unknown): Generator<unknown> {
  let error = thrown;
  for (let depth = 0; depth < MAX_CAUSES; depth++) {
    yield error;
    const { cause } = (error ?? {}) as { readonly cause?: unknown };
    if (cause === undefined || cause === null) return;
    error = cause;
  }
}

/** The same where all that is read of an error can be; else an error with what could be read of it. Never throws. */
export function readable(thrown: unknown): unknown {
  if (typeof thrown !== "object" || thrown === null) return thrown;
  try {
    if (isRetry(thrown) || isFatal(thrown)) return thrown;
    return [...causesOf(thrown)].every(isReadable) ? thrown : copyOf(thrown, MAX_CAUSES);
  } catch {
    return new Error("what was thrown cannot be read: its own code throws");
  }
}

/** What a handler gave as its reason; JavaScript lets it be anything. */
export function reasonText(reason: unknown): string {
  return typeof reason === "string" ? reason : toError(readable(reason)).message;
}

type Parts = Readonly<Partial<Record<"name" | "message" | "stack" | "code" | "cause" | "errors", unknown>>>;

/** @throws whatever its getters do */
function isReadable(one: unknown): boolean {
  if (typeof one !== "object" || one === null) return true;
  const { name, message, stack, code, errors } = one as Parts;
  const texts = typeof name === "string" && typeof message === "string" && (stack === undefined || isText(stack));
  const inner = Array.isArray(errors) ? (errors as readonly unknown[])[0] : undefined;
  return one instanceof Error && texts && typeof code !== "symbol" && isReadable(inner);
}

/** @param depth causes that may still be copied: one may be its own */
function copyOf(thrown: object, depth: number): Error {
  const { name, message, stack, code, cause } = thrown as Parts;
  const inner = typeof cause === "object" && cause !== null && depth > 0 ? copyOf(cause, depth - 1) : cause;
  const copy = new Error(isText(message) ? message : members(thrown), inner === undefined ? {} : { cause: inner });
  if (isText(name)) copy.name = name;
  copy.stack = isText(stack) ? stack : ""; // ours would lead nobody anywhere
  return typeof code === "string" || typeof code === "number" ? Object.assign(copy, { code }) : copy;
}

/** Their names alone: what is in them may be a row. */
function members(thrown: object): string {
  const names = Object.keys(thrown).slice(0, MAX_MEMBERS);
  return names.length === 0 ? "an object without members was thrown" : `an object with ${names.join(", ")} was thrown`;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
