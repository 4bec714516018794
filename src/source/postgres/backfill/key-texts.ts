// Keys as events have them, back to the texts that Postgres takes for them.

import { percentDecoded } from "../../../event/percent.ts";
import type { Table } from "../decode/table.ts";
import type { CopiedTable } from "./copied-table.ts";
import type { KeyTexts } from "./key-order.ts";

/** Of a value as events have it, by the name of its type in pg_catalog. What is not listed has one text in both, or none that leads back. */
const back: ReadonlyMap<string, (text: string) => string> = new Map([
  ["bytea", (text) => `\\x${Buffer.from(text, "base64").toString("hex")}`],
  ...["bool", "float4", "float8", "jsonb"].map((type) => [type, (text: string) => text] as const),
  ...["date", "timestamp", "timestamptz"].map((type) => [type, timeBack] as const),
]);

const iso = /^([+-]?\d{4,7})-(\d\d-\d\d)(?:T([\d:.]+))?(Z)?$/;

/** The reverse of `values/times.ts`. */
function timeBack(text: string): string {
  const [, year, day, clock, zone] = iso.exec(text) ?? [];
  if (year === undefined) return text; // infinity
  const astronomical = Number(year);
  const counted = String(astronomical > 0 ? astronomical : 1 - astronomical).padStart(4, "0");
  const time = clock === undefined ? "" : ` ${clock}`;
  return `${counted}-${day}${time}${zone === undefined ? "" : "+00"}${astronomical > 0 ? "" : " BC"}`;
}

/**
 * From a key as changes have it to the texts of its values, in the order of `CopiedTable.key`; undefined where nothing leads back: a
 * masked value, and one that is made of others (a list, a range, a row).
 */
export function keyReader({ key }: CopiedTable, table: Table): ((key: string) => KeyTexts) | undefined {
  const readers: ((text: string) => string)[] = [];
  for (const name of key) {
    const form = table.keyForms.get(name);
    const reader =
      typeof form === "object" ? back.get(form.type ?? "") : form === "plain" ? (text: string) => text : undefined;
    if (reader === undefined) return undefined;
    readers.push(reader);
  }
  // There the values are in the order of their names.
  const places = [...key].sort();
  return (one) => {
    const texts = one.split(",").map(percentDecoded);
    return key.map((name, nth) => (readers[nth] as (text: string) => string)(texts[places.indexOf(name)] ?? ""));
  };
}

/** The same of those that are asked for; none of a table whose keys nothing leads back from. */
export function readKeys(
  copied: CopiedTable,
  table: Table,
  asked: readonly string[] | undefined,
): readonly KeyTexts[] | undefined {
  const readKey = keyReader(copied, table);
  return asked?.flatMap((key) => (readKey === undefined ? [] : [readKey(key)]));
}
