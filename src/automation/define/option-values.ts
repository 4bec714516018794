// What single options of an automation may be. Who writes JavaScript, or casts, has no compiler to tell: it is said here.

import { parseTime } from "../../event/point-in-time.ts";
import { invalid } from "../outcome/invalid.ts";
import type { Trigger } from "./trigger.ts";

/**
 * What `on` holds, as a list.
 * @param on a trigger, or a list of them
 * @throws ConfigError `AUTOMATION_INVALID` where it holds none, or something else
 */
export function triggersOf(on: unknown, id: string): readonly Trigger[] {
  const given: readonly unknown[] = Array.isArray(on) ? on : [on];
  if (given.length === 0) throw invalid(`${id}: "on" is empty`, "give it at least one trigger");
  for (const one of given) {
    if (one === undefined)
      throw invalid(`${id}: it has no trigger`, "write on: orders.created(), or what else starts it");
    if (typeof one === "function") throw invalid(`${id}: "on" is a function`, "call it: on: orders.created()");
    if (!isTrigger(one)) {
      throw invalid(
        `${id}: "on" is no trigger`,
        "of a collection say which changes: on: orders.created(), .updated(), .deleted() and so on",
      );
    }
  }
  return given as readonly Trigger[];
}

/** By what it can do and not by its class: a user's module may load its own copy of this package. */
function isTrigger(value: unknown): value is Trigger {
  if (typeof value !== "object" || value === null) return false;
  const { subscriptions, decode, match, check } = value as Partial<Trigger>;
  return [subscriptions, decode, match, check].every((one) => typeof one === "function");
}

/** @throws ConfigError `AUTOMATION_INVALID` */
export function orderOf(
  { order, onExhausted }: { readonly order?: "key" | undefined; readonly onExhausted?: "dead" | "block" | undefined },
  id: string,
): { readonly order: "key" | undefined; readonly onExhausted: "dead" | "block" } {
  if (order !== undefined && order !== "key")
    throw invalid(`${id}: order is not "key"`, 'write "key", or leave it out');
  if (onExhausted !== undefined && order === undefined) {
    throw invalid(`${id}: onExhausted is about keys in order`, 'give it order: "key", or leave onExhausted out');
  }
  return { order, onExhausted: oneOf(["dead", "block"], onExhausted, `${id}: onExhausted`) };
}

/** @throws ConfigError `AUTOMATION_INVALID` */
export function startOf(given: unknown, place: string): "now" | "earliest" | Date {
  if (given === undefined || given === "now") return "now";
  if (given === "earliest") return given;
  const time = typeof given === "string" ? parseTime(given) : undefined;
  if (time === undefined)
    throw invalid(
      `${place} is neither "now" nor "earliest", nor a time`,
      'write one, or a time like "2026-11-01T00:00:00Z"',
    );
  if (time.getTime() > Date.now())
    throw invalid(
      `${place} is not over yet`,
      'write "now", or a time that was: until then it would begin with what comes',
    );
  return time;
}

/** The first is the default. @throws ConfigError `AUTOMATION_INVALID` */
export function oneOf<T extends string>([usual, other]: readonly [T, T], given: T | undefined, what: string): T {
  if (given === undefined || given === usual || given === other) return given ?? usual;
  throw invalid(`${what} is neither "${usual}" nor "${other}"`, "write one");
}

/** Of what is a function where it is given. @throws ConfigError `AUTOMATION_INVALID` */
export function refuseNoFunction(given: unknown, what: string, example: string): void {
  if (given !== undefined && typeof given !== "function") throw invalid(`${what} is no function`, `write ${example}`);
}
