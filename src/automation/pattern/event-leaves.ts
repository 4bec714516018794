// The values of an event by their path, each with the array elements that it is in.

/** An element of an array. */
interface Place {
  /** Tells arrays of one event apart. */
  readonly array: number;
  readonly index: number;
  /** The path of the array. */
  readonly path: string;
}

export interface Leaf {
  readonly value: string | number | boolean | null;
  /** The elements of arrays whose objects it is a member of, from the outermost on. */
  readonly places: readonly Place[];
}

export type Leaves = ReadonlyMap<string, readonly Leaf[]>;

const NOWHERE: readonly Place[] = [];

/** The paths that a pattern asks for, and all that lead to one: made once a pattern, not once an event. */
export interface WantedPaths {
  readonly paths: ReadonlySet<string>;
  readonly prefixes: ReadonlySet<string>;
}

export function wantedPaths(paths: readonly string[]): WantedPaths {
  return { paths: new Set(paths), prefixes: new Set(paths.flatMap(prefixesOf)) };
}

/**
 * The values at the wanted paths. A path is its names joined by dots, array indexes left out; an empty object or array has
 * no value, and an element of an array is a value of the array's own path.
 */
export function leavesOf(event: unknown, wanted: WantedPaths): Leaves {
  const leaves = new Map<string, Leaf[]>();
  let arrays = 0;
  const visit = (value: unknown, path: string, places: readonly Place[]): void => {
    if (Array.isArray(value)) {
      const array = arrays++;
      value.forEach((element: unknown, index) => {
        // Only objects bind the fields inside them to one element: a plain value stands for itself.
        const inside = isNested(element) ? [...places, { array, index, path }] : places;
        visit(element, path, inside);
      });
    } else if (typeof value === "object" && value !== null) {
      if (path !== "" && !wanted.prefixes.has(path)) return;
      for (const [name, member] of Object.entries(value)) visit(member, path === "" ? name : `${path}.${name}`, places);
    } else if (wanted.paths.has(path) && isValue(value)) {
      const known = leaves.get(path);
      if (known === undefined) leaves.set(path, [{ value, places }]);
      else known.push({ value, places });
    }
  };
  if (typeof event === "object" && event !== null && !Array.isArray(event)) visit(event, "", NOWHERE);
  return leaves;
}

/** `a.b.c` has `a` and `a.b`. */
export function prefixesOf(path: string): readonly string[] {
  const prefixes: string[] = [];
  for (let dot = path.indexOf("."); dot >= 0; dot = path.indexOf(".", dot + 1)) prefixes.push(path.slice(0, dot));
  return prefixes;
}

/** Whether two sets of places can be those of one choice of elements: of each array that both are in, the same one. */
export function agree(one: readonly Place[], other: readonly Place[]): boolean {
  return one.every(({ array, index }) => other.every((place) => place.array !== array || place.index === index));
}

function isNested(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function isValue(value: unknown): value is Leaf["value"] {
  return value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}
