// The filter of a change stream's events: only what the connector asks with; anything else is refused aloud.

import type { BSON } from "mongodb";
import { CommandError } from "./command-error.ts";

/** Whether an event is let through. @throws CommandError for an operator that the double does not know */
export function matches(filter: BSON.Document, event: BSON.Document): boolean {
  return Object.entries(filter).every(([name, wanted]) => {
    const parts = wanted as readonly BSON.Document[];
    if (name === "$or") return parts.some((part) => matches(part, event));
    if (name === "$and") return parts.every((part) => matches(part, event));
    if (name === "$nor") return !parts.some((part) => matches(part, event));
    return holds(valueAt(event, name), wanted);
  });
}

function holds(value: unknown, wanted: unknown): boolean {
  if (typeof wanted !== "object" || wanted === null) return value === wanted;
  return Object.entries(wanted).every(([operator, operand]) => {
    if (operator === "$in") return (operand as unknown[]).includes(value);
    if (operator === "$nin") return !(operand as unknown[]).includes(value);
    if (operator === "$options") return operand === "s"; // the only one there is, and always
    if (operator === "$regex") return typeof value === "string" && new RegExp(String(operand), "su").test(value);
    throw new CommandError(2, "BadValue", `unknown operator: ${operator}`);
  });
}

function valueAt(document: BSON.Document, path: string): unknown {
  return path.split(".").reduce<unknown>((at, name) => (at as BSON.Document | undefined)?.[name], document);
}
