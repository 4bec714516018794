// One alternative of a pattern: fields that must all match, with elements of arrays that go together.

import { agree, type Leaf, type Leaves, prefixesOf } from "./event-leaves.ts";

/** What one field may be. */
export interface Field {
  readonly path: string;
  /** Whether one of the field's values may be this. */
  readonly accepts: (value: Leaf["value"]) => boolean;
  /** The field may also be absent. */
  readonly absent: boolean;
  /** The paths that an array has which holds this field and a later one of the rule. */
  readonly sharedWithLater: ReadonlySet<string>;
}

/** Fields in the order in which they are looked at: by their paths' UTF-16 units, as the original does. */
export type Rule = readonly Field[];

export function makeRule(fields: ReadonlyMap<string, Pick<Field, "accepts" | "absent">>): Rule {
  const paths = [...fields.keys()].sort();
  return paths.map((path, at) => {
    const { accepts, absent } = fields.get(path) as Pick<Field, "accepts" | "absent">;
    return { path, accepts, absent, sharedWithLater: new Set(paths.slice(at + 1).flatMap(prefixesOf)) };
  });
}

type Places = Leaf["places"];

/**
 * Whether some choice of array elements satisfies all fields. What is known after each field is the set of choices that are
 * still possible; of a choice only the arrays that later fields share are kept, so equal ones fall together.
 */
export function matchesRule(rule: Rule, leaves: Leaves): boolean {
  let choices: readonly Places[] = [[]];
  for (const field of rule) {
    choices = choicesAfter(field, leaves.get(field.path) ?? [], choices);
    if (choices.length === 0) return false;
  }
  return true;
}

function choicesAfter(field: Field, leaves: readonly Leaf[], before: readonly Places[]): readonly Places[] {
  const accepted = leaves.filter(({ value }) => field.accepts(value));
  const after = new Map<string, Places>();
  const add = (places: Places): void => {
    const kept = places.filter(({ path }) => field.sharedWithLater.has(path));
    after.set(kept.map(({ array, index }) => `${array}:${index}`).join(), kept);
  };
  for (const choice of before) {
    for (const leaf of accepted) {
      if (agree(choice, leaf.places)) add(joined(choice, leaf.places));
    }
    if (field.absent && !leaves.some((leaf) => agree(choice, leaf.places))) add(choice);
  }
  return [...after.values()];
}

/** Both, each array once, in an order that does not depend on which came first. */
function joined(one: Places, other: Places): Places {
  if (one.length === 0) return other;
  const arrays = new Set(one.map(({ array }) => array));
  return [...one, ...other.filter(({ array }) => !arrays.has(array))].sort((a, b) => a.array - b.array);
}
