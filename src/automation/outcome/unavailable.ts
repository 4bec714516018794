// What is no fault of an event: the bus, tx's database, or a service that the handler names, is away. It spends no attempt.

import { ConfigError, type MillraceError, PoisonError, TransientError, toError } from "../../errors.ts";
import { isRetry } from "./outcome.ts";
import { causesOf } from "./readable.ts";

/** Where a tx() was when it failed: before its work, in it, or behind it. */
export type TxPhase = "entering" | "working" | "committing";

const FAULT_OF_THE_EVENT = /^(22|23|40|54)|^(55P03|57014)$/;
const AWAY = /^(08|53|57P)/;

/** Whether the handler's failure is none of the event's: then the automation waits, and the attempt does not count. */
export function isUnavailable(error: unknown): boolean {
  if (isRetry(error)) return error.unavailable !== undefined;
  if (error instanceof ConfigError) return error.code.startsWith("TX_");
  return isTransient(error, "TX_UNREACHABLE") || isTransient(error, "TX_BUS_UNREACHABLE") || lostInWork(error);
}

/** Whether the connection was lost while the work had it: by an outage, or by what the work does to it. */
export function lostInWork(error: unknown): boolean {
  return isTransient(error, "TX_CONNECTION_LOST");
}

/** Whether an error of the bus may pass by itself: it is away, or a right was taken from the worker's user and may be given back. */
export function mayPass(error: unknown): error is MillraceError {
  return error instanceof TransientError || isDenied(error);
}

/** Whether the bus refuses the worker's user a right. */
export function isDenied(error: unknown): error is ConfigError {
  return error instanceof ConfigError && error.code === "BUS_PERMISSION";
}

function isTransient(error: unknown, code: string): boolean {
  return error instanceof TransientError && error.code === code;
}

/**
 * What a failed tx() is told as: TX_UNREACHABLE where the database is away, has not the room, or does not write; else as it
 * was thrown. Before the work nothing is the event's fault but what its own values do; in it, only what the server or the
 * lost connection says; behind it, what is no answer of the server.
 */
export function txFailure(thrown: unknown, phase: TxPhase, connectionLost: boolean): unknown {
  if (thrown instanceof ConfigError || thrown instanceof PoisonError || isUnavailable(thrown)) return thrown;
  const state = sqlStateOf(thrown);
  if (phase === "working") {
    if (state === undefined ? connectionLost : /^(08|57P)/.test(state)) return connectionLostBy(thrown);
    return state?.startsWith("53") ? unreachable(thrown) : thrown;
  }
  if (state === undefined) return unreachable(thrown);
  return (phase === "entering" ? !FAULT_OF_THE_EVENT.test(state) : AWAY.test(state)) ? unreachable(thrown) : thrown;
}

function connectionLostBy(thrown: unknown): TransientError {
  return new TransientError("TX_CONNECTION_LOST", `the work of tx() lost its connection: ${reasonOf(thrown)}`, {
    hint: "where no server was stopped: see whether the work idles beyond idle_in_transaction_session_timeout, or runs a statement that ends its session",
    cause: thrown,
  });
}

/** @param thrown what the driver threw, or what is the case */
export function unreachable(thrown: unknown): TransientError {
  return new TransientError("TX_UNREACHABLE", `the database of tx() cannot do its work now: ${reasonOf(thrown)}`, {
    hint: "see that it runs, takes connections and writes, and that `db` leads to it; the automation goes on by itself",
    cause: thrown,
  });
}

/** The SQLSTATE of what a driver threw; drizzle wraps it. */
export function sqlStateOf(error: unknown): string | undefined {
  for (const one of causesOf(error)) {
    const { code } = (one ?? {}) as { readonly code?: unknown };
    if (typeof code === "string" && /^(?=.*\d)[0-9A-Z]{5}$/.test(code)) return code;
  }
  return undefined;
}

/** The text of the innermost error: drizzle's own text holds the statement and its values. */
function reasonOf(thrown: unknown): string {
  const innermost = [...causesOf(thrown)].at(-1);
  const { errors } = (innermost ?? {}) as { readonly errors?: readonly unknown[] };
  const first = errors?.[0] ?? innermost;
  const { code } = (first ?? {}) as { readonly code?: unknown };
  const { message } = toError(first);
  return typeof code === "string" && !message.includes(code) ? `${message} (${code})` : message;
}
