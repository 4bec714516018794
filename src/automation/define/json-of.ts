// A value as a source's events have it.

import { ConfigError } from "../../errors.ts";

/**
 * The JSON of a value: a bigint as text, a Date as RFC 3339 in UTC, bytes in base64, what is no finite number by its name;
 * what is undefined is left out. @throws ConfigError `TESTING_VALUE`
 */
export function jsonOf(value: unknown): unknown {
  switch (typeof value) {
    case "bigint":
      return String(value);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "object":
      return value === null ? null : objectOf(value);
    case "function":
    case "symbol":
      throw noValue(`a ${typeof value}`);
    default:
      return value;
  }
}

function objectOf(value: object): unknown {
  if (value instanceof Date) return timeText(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map((one) => jsonOf(one) ?? null);
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, one]) => (one === undefined ? [] : [[name, jsonOf(one)]])),
  );
}

/** RFC 3339 in UTC, without zeros at the end of the second's fraction. @throws ConfigError `TESTING_VALUE` */
export function timeText(time: Date): string {
  if (Number.isNaN(time.getTime())) throw noValue("an invalid Date");
  return time.toISOString().replace(/\.?0*Z$/, "Z");
}

/** @param what no value of the row itself */
export function noValue(what: string): ConfigError {
  return new ConfigError("TESTING_VALUE", `a given row holds ${what}, which no source can write`, {
    hint: "give the row values as the handler gets them",
  });
}
