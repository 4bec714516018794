// The ways through an event that a pattern asks for, made once a pattern.

/** A place on the way to a field. */
export class PathStep {
  readonly path: string;
  /** Where members lead, by their names. A name may have dots in it: there are several ways to one field. */
  readonly next: { readonly name: string; readonly step: PathStep }[] = [];
  /** The number of the field whose values stand here; undefined where none does. */
  field: number | undefined;
  /** Whether objects of an array here bind two fields together. */
  binds = false;

  constructor(path: string) {
    this.path = path;
  }
}

export interface Paths {
  readonly root: PathStep;
  /** Fields by their paths. */
  readonly fields: ReadonlyMap<string, number>;
}

/** @param alternatives the paths of each */
export function pathsOf(alternatives: readonly (readonly string[])[]): Paths {
  const root = new PathStep("");
  const steps = new Map<string, PathStep>();
  const fields = new Map<string, number>();
  for (const path of alternatives.flat()) {
    if (fields.has(path)) continue;
    addPath(path, root, steps).field = fields.size;
    fields.set(path, fields.size);
  }
  for (const paths of alternatives) markBinding(paths, steps);
  return { root, fields };
}

/** `a.b.c` is reached by `a`, `b`, `c`, by `a.b`, `c`, by `a`, `b.c` and by `a.b.c`. */
function addPath(path: string, root: PathStep, steps: Map<string, PathStep>): PathStep {
  const ends = [...prefixesOf(path).map(({ length }) => length), path.length];
  const all = ends.map((end) => {
    const prefix = path.slice(0, end);
    const step = steps.get(prefix) ?? new PathStep(prefix);
    steps.set(prefix, step);
    return step;
  });
  all.forEach((to, nth) => {
    lead(root, to.path, to);
    for (const from of all.slice(0, nth)) lead(from, to.path.slice(from.path.length + 1), to);
  });
  return all[all.length - 1] as PathStep;
}

function lead(from: PathStep, name: string, step: PathStep): void {
  if (!from.next.some((one) => one.step === step)) from.next.push({ name, step });
}

/** An array binds where it holds one field of an alternative, and another one stands in it or is the array itself. */
function markBinding(paths: readonly string[], steps: ReadonlyMap<string, PathStep>): void {
  const inside = new Map<string, number>();
  for (const path of paths) {
    for (const prefix of [...prefixesOf(path), path]) inside.set(prefix, (inside.get(prefix) ?? 0) + 1);
  }
  for (const [path, count] of inside) {
    const step = steps.get(path);
    if (count > 1 && step !== undefined) step.binds = true;
  }
}

/** `a.b.c` has `a` and `a.b`. */
export function prefixesOf(path: string): readonly string[] {
  const prefixes: string[] = [];
  for (let dot = path.indexOf("."); dot >= 0; dot = path.indexOf(".", dot + 1)) prefixes.push(path.slice(0, dot));
  return prefixes;
}
