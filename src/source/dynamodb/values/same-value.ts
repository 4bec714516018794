// Whether two attributes are equal, as the server would say: a set's order means nothing.

import { type Attribute, type Item, ownAttribute, typed } from "./attribute.ts";
import { sortedSet } from "./attribute-json.ts";

/** The names of attributes that only one of two items has, or that differ; sorted. Both have been written as JSON: each type is known. */
export function changedNames(before: Item, after: Item): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => !isSame(ownAttribute(before, name), ownAttribute(after, name))).sort();
}

function isSame(a: Attribute | undefined, b: Attribute | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const [type, x] = typed(a);
  const [other, y] = typed(b);
  if (type !== other) return false;
  switch (type) {
    case "M":
      return changedNames(x as Item, y as Item).length === 0;
    case "L": {
      const [list, others] = [x as readonly Attribute[], y as readonly Attribute[]];
      return list.length === others.length && list.every((one, nth) => isSame(one, others[nth]));
    }
    case "SS":
    case "NS":
    case "BS": {
      const [set, others] = [x, y].map((members) => sortedSet(type, members as readonly string[]));
      return set?.length === others?.length && set?.every((member, nth) => member === others?.[nth]) === true;
    }
    default:
      return x === y;
  }
}
