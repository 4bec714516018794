// Collections that a person names for a source, as it reads them.

import { nearest } from "../../config/nearest.ts";
import { ConfigError } from "../../errors.ts";
import { formatCollectionName, parseCollectionName } from "../../event/collection-name.ts";
import type { CapableSource } from "./capable-sources.ts";

/** So many are listed to who has named another one. */
const MOST_LISTED = 10;

/** Each once. @throws ConfigError BACKFILL_COLLECTION_UNKNOWN, with the name that was probably meant; TransientError */
export async function namedCollections(
  named: readonly string[],
  { id, config, connector }: CapableSource<"copiesRows">,
): Promise<readonly string[]> {
  const read = await connector.collections(id, config);
  const names = read.map(({ namespace, name }) => formatCollectionName({ namespace, collection: name }));
  const found = named.map((name) => {
    const parsed = parseCollectionName(name);
    const full = parsed && formatCollectionName(parsed);
    if (full !== undefined && names.includes(full)) return full;
    const same = read.filter((one) => one.name === name).map(({ namespace }) => `${namespace}.${name}`);
    const meant = same.length === 1 ? same[0] : nearest(name, names);
    const listed = names.slice(0, MOST_LISTED).join(", ");
    const more = names.length > MOST_LISTED ? ` and ${names.length - MOST_LISTED} more` : "";
    throw new ConfigError("BACKFILL_COLLECTION_UNKNOWN", `${id} reads no ${name}`, {
      hint: `${meant === undefined ? "" : `Did you mean ${meant}? `}It reads ${listed || "nothing"}${more}.`,
    });
  });
  return [...new Set(found)];
}
