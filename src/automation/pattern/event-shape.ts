// What is known of the events before one has come.

import type { SourceId } from "../../event/source-id.ts";
import type { Op } from "../../event/subject.ts";
import type { Clause } from "./clause.ts";
import type { RowShape } from "./columns.ts";
import { invalidPattern } from "./invalid-pattern.ts";

export interface EventShape {
  /** The names that its members may have; undefined where they may be any. */
  readonly fields?: readonly string[] | undefined;
  /** Members that each of them has with this same value. */
  readonly fixed?: Readonly<Record<string, string | null>>;
  /** The columns of its `key`, `before`, `after`, `movedTo` and `movedFrom`; undefined where they may be any. */
  readonly row?: RowShape | undefined;
  /**
   * Whether columns are told by the schema that each event names, and not by the author: then `row` has none of them before an
   * event has come, and what it says refuses nothing.
   */
  readonly learns?: boolean;
  /** What is known of the events of the same list's other triggers: a branch of `$or` may be for them alone. Default: there are none. */
  readonly others?: readonly EventShape[];
  /** Which changes they are (copied rows have the images of `created`); undefined where they are no changes, or of several collections. */
  readonly collection?: {
    readonly source: SourceId;
    readonly namespace: string;
    readonly name: string;
    readonly op: Op;
  };
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

type Alternatives = readonly (readonly Clause[])[];
type Fixed = NonNullable<EventShape["fixed"]>;

/**
 * Refuses a pattern of which no alternative can hold for such events: one on `after` where every event is a deletion.
 * @throws ConfigError `PATTERN_INVALID`
 */
export function refuseNeverMatching(alternatives: Alternatives, { fixed = {} }: Pick<EventShape, "fixed">): void {
  const found = neverMatching(alternatives, fixed);
  if (found === undefined) return;
  throw invalidPattern(
    found.place,
    `it can never match: "${found.name}" is ${JSON.stringify(fixed[found.name])} in all of these events`,
    "correct it, or take another trigger",
  );
}

/** Members of an event without which no alternative can hold. */
export function neededMembers<Name extends string>(
  alternatives: Alternatives,
  names: readonly Name[],
): readonly Name[] {
  return names.filter((name) => neverMatching(alternatives, { [name]: null }) !== undefined);
}

/** By alternative, the columns of an image without which it cannot hold. */
export function neededColumns(alternatives: Alternatives, image: string): readonly (readonly string[])[] {
  return alternatives.map((clauses) =>
    clauses.flatMap(({ path, absent }) =>
      path.startsWith(`${image}.`) && !absent ? path.slice(image.length + 1) : [],
    ),
  );
}

/** The first clause that cannot hold where these members are the same in all events; undefined where some alternative can. */
function neverMatching(
  alternatives: Alternatives,
  fixed: Fixed,
): { readonly place: string; readonly name: string } | undefined {
  const found = alternatives.map((clauses) => {
    for (const { path, place, accepts, absent } of clauses) {
      const known = Object.entries(fixed).find(([name]) => path === name || path.startsWith(`${name}.`));
      if (known === undefined) continue;
      const [name, value] = known;
      if (!(path === name ? accepts(value, NO_WORK) : absent)) return { place, name };
    }
    return undefined;
  });
  return found.includes(undefined) ? undefined : found[0];
}
