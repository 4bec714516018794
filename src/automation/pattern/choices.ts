// Which elements of arrays go together: fields of objects in one array must come from one element.

import { PoisonError } from "../../errors.ts";
import type { Leaf, Place } from "./event-leaves.ts";
import type { Work } from "./test.ts";

/** The elements that are chosen: the innermost ones, each of which implies those that it stands in. */
export type Choice = readonly Place[];

export const NOTHING_CHOSEN: readonly Choice[] = [[]];

/** What one field does to the choices. */
export interface Narrowing {
  /** The field's values. */
  readonly leaves: readonly Leaf[];
  /** Those of them that the pattern allows. */
  readonly accepted: readonly Leaf[];
  /** The field may also be absent. */
  readonly absent: boolean;
  /** Paths of arrays that hold a later field too: of a choice only these are kept, so that equal ones fall together. */
  readonly kept: ReadonlySet<string>;
  /** Whether all elements are of one array, so that a choice is one of them or none. */
  readonly flat: boolean;
  /** More than this can only be combinations of several choices in arrays that one path names. */
  readonly most: number;
}

/**
 * The choices that are still possible behind a field. Absent is a field that has no value in what a choice leaves of the event.
 * There is at most one choice for each element, but in an event that spells one path in several ways (`a.b` and `a` with `b`).
 * @throws PoisonError `PATTERN_AMBIGUOUS` where such a one would have too many to try
 */
export function narrow(before: readonly Choice[], field: Narrowing, work: Work): readonly Choice[] {
  if (field.flat) return narrowFlat(before, field, work);
  const accepted = treeOf(field.accepted, work);
  const all = field.absent ? treeOf(field.leaves, work) : undefined;
  const after = new Map<number | string, Choice>();
  let tried = 0;
  const add = (choice: Choice): void => {
    if (++tried > field.most) throw ambiguous();
    const kept = trimmed(choice, field.kept);
    const [only, second] = kept;
    after.set(only !== undefined && second === undefined ? only.id : kept.map(({ id }) => id).join(), kept);
  };
  for (const choice of before) {
    for (const place of fitting(accepted, choice, work)) add(place === undefined ? choice : withPlace(choice, place));
    if (all !== undefined && fitting(all, choice, work).next().done) add(choice);
  }
  return [...after.values()];
}

/** The same without trees: an event with one long array is the usual one. */
function narrowFlat(
  before: readonly Choice[],
  { accepted, leaves, absent, kept }: Narrowing,
  work: Work,
): readonly Choice[] {
  const places = new Set(accepted.map(({ place }) => place));
  const all = absent ? new Set(leaves.map(({ place }) => place)) : undefined;
  const after = new Map<Place | undefined, Choice>();
  const add = (place: Place | undefined): void => {
    const one = place !== undefined && kept.has(place.path) ? place : undefined;
    after.set(one, one === undefined ? [] : [one]);
  };
  work.steps += accepted.length + before.length + (absent ? leaves.length : 0);
  for (const [tip] of before) {
    if (tip === undefined) for (const place of places) add(place);
    else if (places.has(tip) || places.has(undefined)) add(tip);
    if (all !== undefined && (tip === undefined ? all.size === 0 : !all.has(tip) && !all.has(undefined))) add(tip);
  }
  return [...after.values()];
}

/** The elements that values are in, from the outermost on. */
interface Tree {
  readonly place: Place | undefined;
  /** Whether a value stands right here. */
  here: boolean;
  /** By array, then by index. */
  readonly arrays: Map<number, Map<number, Tree>>;
}

function treeOf(leaves: readonly Leaf[], work: Work): Tree {
  const root: Tree = { place: undefined, here: false, arrays: new Map() };
  const known = new Map<Place | undefined, Tree>([[undefined, root]]);
  for (const { place } of leaves) {
    const missing: Place[] = [];
    let at = place;
    for (; at !== undefined && !known.has(at); at = at.parent) missing.push(at);
    let tree = known.get(at) as Tree;
    for (const one of missing.reverse()) {
      const inside: Tree = { place: one, here: false, arrays: new Map() };
      const elements = tree.arrays.get(one.array) ?? new Map<number, Tree>();
      tree.arrays.set(one.array, elements.set(one.index, inside));
      known.set(one, inside);
      tree = inside;
    }
    tree.here = true;
    work.steps += missing.length + 1;
  }
  return root;
}

/** Where values stand that a choice leaves: of each array that it has chosen from, in that element alone. */
function* fitting(tree: Tree, choice: Choice, work: Work): Generator<Place | undefined> {
  const waiting = [tree];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    work.steps++;
    if (next.here) yield next.place;
    for (const [array, elements] of next.arrays) {
      const index = chosen(choice, array);
      const inside = index === undefined ? elements.values() : [elements.get(index)];
      for (const one of inside) if (one !== undefined) waiting.push(one);
    }
  }
}

function chosen(choice: Choice, array: number): number | undefined {
  for (const tip of choice) {
    for (let place: Place | undefined = tip; place !== undefined; place = place.parent) {
      if (place.array === array) return place.index;
    }
  }
  return undefined;
}

function withPlace(choice: Choice, place: Place): Choice {
  if (choice.some((tip) => isWithin(tip, place))) return choice;
  return [...choice.filter((tip) => !isWithin(place, tip)), place];
}

function isWithin(place: Place, outer: Place): boolean {
  let at: Place | undefined = place;
  while (at !== undefined && at.depth > outer.depth) at = at.parent;
  return at === outer;
}

function trimmed(choice: Choice, kept: ReadonlySet<string>): Choice {
  const tips = new Set<Place>();
  for (const tip of choice) {
    let at: Place | undefined = tip;
    while (at !== undefined && !kept.has(at.path)) at = at.parent;
    if (at !== undefined) tips.add(at);
  }
  const all = [...tips];
  if (all.length < 2) return all;
  const innermost = all.filter((one) => !all.some((other) => other !== one && isWithin(other, one)));
  return innermost.sort((a, b) => a.id - b.id);
}

function ambiguous(): PoisonError {
  return new PoisonError(
    "PATTERN_AMBIGUOUS",
    "the event spells one path in several ways, with and without dots in names, and its arrays combine in too many ways",
    { hint: "test such documents in the handler: a pattern cannot tell which elements belong together" },
  );
}
