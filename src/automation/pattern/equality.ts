// Equality with any of some plain values, in one look however many there are.

import { canonicalAddress } from "./cidr.ts";
import { numberKey } from "./number.ts";
import type { Test, Value } from "./test.ts";

const NO_WORK = { steps: 0 };

/**
 * Whether a value is one of these. Numbers are equal by value. A text that is an IP address equals it however it is written.
 * @param numericColumn whether texts that are numbers are numbers here
 * @param addresses whether addresses are compared as such
 */
export function oneOf(
  values: readonly Value[],
  { numericColumn, addresses }: { readonly numericColumn: boolean; readonly addresses: boolean },
): Test {
  const plain = new Set(values);
  const numbers = new Set(values.flatMap((value) => numberKey(value, numericColumn, NO_WORK) ?? []));
  const hosts = new Set(
    addresses ? values.flatMap((value) => (typeof value === "string" ? (canonicalAddress(value) ?? []) : [])) : [],
  );
  return (value, work) => {
    work.steps++;
    if (plain.has(value)) return true;
    if (numbers.size > 0 && (typeof value === "bigint" || numericColumn)) {
      const key = numberKey(value, numericColumn, work);
      if (key !== undefined) return numbers.has(key);
    }
    return hosts.size > 0 && typeof value === "string" && hosts.has(canonicalAddress(value) ?? "");
  };
}
