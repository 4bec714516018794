// Whether a JSON value says exactly what Postgres' own text says.

import { isDeepStrictEqual } from "node:util";
import type { TruthValue } from "./test-decoding.ts";

/**
 * Compares by the column's type. Types whose JSON form is more than their text (arrays, ranges, composites, intervals,
 * bit strings) are only looked at for being there; unit tests with golden values know them.
 */
export function isSameValue(json: unknown, truth: TruthValue, type: string): boolean {
  if (truth === null || truth === undefined) return json === truth;
  switch (type) {
    case "smallint":
    case "integer":
    case "oid":
      return typeof json === "number" && String(json) === truth;
    case "real":
    case "double precision":
      return Number.isFinite(Number(truth)) ? json === Number(truth) : json === truth;
    case "boolean":
      return json === (truth === "true");
    case "bytea":
      return json === Buffer.from(truth.slice(2), "hex").toString("base64");
    case "json":
    case "jsonb":
      return isDeepStrictEqual(json, JSON.parse(truth));
    case "timestamp without time zone":
      return isRareYear(truth) ? typeof json === "string" : json === truth.replace(" ", "T");
    case "timestamp with time zone":
      if (isRareYear(truth)) return typeof json === "string";
      return json === truth.replace(" ", "T").replace(/\+00$/, "Z");
    case "bigint":
    case "numeric":
    case "text":
    case "character varying":
    case "character":
    case "uuid":
    case "time without time zone":
      return json === truth;
    case "date":
      return isRareYear(truth) ? typeof json === "string" : json === truth;
    default:
      return json !== undefined && json !== null;
  }
}

/** Before 1 or after 9999: its JSON is more than its text, too. */
function isRareYear(truth: string): boolean {
  return truth.endsWith("BC") || /^\d{5}/.test(truth);
}
