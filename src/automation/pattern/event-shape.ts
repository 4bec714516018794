// What is known of the events before one has come.

import type { Clause } from "./clause.ts";
import type { RowShape } from "./columns.ts";
import { invalidPattern } from "./invalid-pattern.ts";

export interface EventShape {
  /** The names that its members may have; undefined where they may be any. */
  readonly fields?: readonly string[];
  /** Members that each of them has with this same value. */
  readonly fixed?: Readonly<Record<string, string | null>>;
  /** The columns of its `key`, `before`, `after`, `movedTo` and `movedFrom`; undefined where they may be any. */
  readonly row?: RowShape | undefined;
}

/** What a change event may have. */
export const CHANGE_FIELDS: readonly string[] = (
  "op key before after changed unchanged enriched replaced beforeMissing afterMissing asOf update shardKey movedTo movedFrom " +
  "id type source namespace collection time position transaction sequence lineage"
).split(" ");

/** What a domain event has. */
export const DOMAIN_FIELDS: readonly string[] =
  "id type source key data headers time position transaction sequence lineage".split(" ");

const NO_WORK = { steps: 0 };

/**
 * Refuses a pattern of which no alternative can hold for such events: one on `after` where every event is a deletion.
 * @throws ConfigError `PATTERN_INVALID`
 */
export function refuseNeverMatching(
  alternatives: readonly (readonly Clause[])[],
  { fixed = {} }: Pick<EventShape, "fixed">,
): void {
  const known = Object.entries(fixed);
  const impossible = alternatives.map((clauses) => {
    for (const clause of clauses) {
      const [name, value] = known.find(([one]) => clause.path === one || clause.path.startsWith(`${one}.`)) ?? [];
      if (name === undefined || value === undefined) continue;
      const holds = clause.path === name ? clause.accepts(value, NO_WORK) : clause.absent;
      if (!holds) return { place: clause.place, name, value };
    }
    return undefined;
  });
  const [first] = impossible;
  if (first === undefined || impossible.includes(undefined)) return;
  throw invalidPattern(
    first.place,
    `it can never match: "${first.name}" is ${JSON.stringify(first.value)} in all of these events`,
    "correct it, or take another trigger",
  );
}
