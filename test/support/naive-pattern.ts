// A reading of event patterns that is as short and as slow as can be: every choice is tried. What the compiled one is held to.

type Value = string | number | boolean | null;

interface NaiveLeaf {
  readonly path: string;
  readonly value: Value;
  /** `array:index` of each array element that it is in, where that element is an object or an array. */
  readonly trail: readonly string[];
}

/** @param numeric paths whose texts are numbers */
export function naiveMatch(pattern: object, event: unknown, numeric: readonly string[] = []): boolean {
  const leaves: NaiveLeaf[] = [];
  flatten(event, [], [], leaves);
  return expand(pattern, [], [{}]).some((fields) => {
    const paths = Object.keys(fields).sort();
    const tryFrom = (nth: number, chosen: readonly string[]): boolean => {
      const path = paths[nth];
      if (path === undefined) return true;
      const near = leaves.filter((leaf) => leaf.path === path && agree(leaf.trail, chosen));
      const list = fields[path] as readonly unknown[];
      const fits = near.filter(({ value }) => list.some((item) => passes(item, value, numeric.includes(path))));
      const absent = near.length === 0 && list.some((item) => JSON.stringify(item) === '{"exists":false}');
      return fits.some(({ trail }) => tryFrom(nth + 1, [...chosen, ...trail])) || (absent && tryFrom(nth + 1, chosen));
    };
    return tryFrom(0, []);
  });
}

let arrays = 0;

function flatten(value: unknown, names: readonly string[], trail: readonly string[], leaves: NaiveLeaf[]): void {
  if (Array.isArray(value)) {
    const array = arrays++;
    value.forEach((element, index) => {
      const isPlain = typeof element !== "object" || element === null;
      flatten(element, names, isPlain ? trail : [...trail, `${array}:${index}`], leaves);
    });
  } else if (typeof value === "object" && value !== null) {
    for (const [name, member] of Object.entries(value)) flatten(member, [...names, name], trail, leaves);
  } else leaves.push({ path: names.join("."), value: value as Value, trail });
}

function agree(one: readonly string[], other: readonly string[]): boolean {
  return one.every((a) => other.every((b) => a.split(":")[0] !== b.split(":")[0] || a === b));
}

type Fields = Readonly<Record<string, readonly unknown[]>>;

function expand(pattern: object, names: readonly string[], before: readonly Fields[]): readonly Fields[] {
  return Object.entries(pattern).reduce<readonly Fields[]>((all, [name, value]) => {
    if (name === "$or") return (value as object[]).flatMap((branch) => expand(branch, names, all));
    if (!Array.isArray(value)) return expand(value, [...names, name], all);
    return all.map((fields) => ({ ...fields, [[...names, name].join(".")]: value }));
  }, before);
}

function passes(item: unknown, value: Value, numeric: boolean): boolean {
  if (typeof item !== "object" || item === null) return equal(item, value, numeric);
  const [[name, argument]] = Object.entries(item) as [[string, unknown]];
  const text = typeof value === "string" ? value : undefined;
  switch (name) {
    case "exactly":
      return text === argument;
    case "prefix":
    case "suffix": {
      if (text === undefined) return false;
      if (typeof argument === "string") return name === "prefix" ? text.startsWith(argument) : text.endsWith(argument);
      const bare = (argument as Record<string, string>)["equals-ignore-case"] as string;
      const cuts = Array.from({ length: text.length + 1 }, (_, at) => at);
      return cuts.some((at) => sameIgnoringCase(bare, name === "prefix" ? text.slice(0, at) : text.slice(at)));
    }
    case "equals-ignore-case":
      return text !== undefined && sameIgnoringCase(argument as string, text);
    case "wildcard":
      return text !== undefined && wild(argument as string, text);
    case "numeric": {
      const number = numberIn(value, numeric);
      if (number === undefined) return false;
      const parts = argument as [string, number, string?, number?];
      return (
        compares(number, parts[0], parts[1]) &&
        (parts[2] === undefined || compares(number, parts[2], parts[3] as number))
      );
    }
    case "exists":
      return argument === true;
    case "anything-but": {
      if (typeof argument !== "object" || Array.isArray(argument)) {
        return ![argument].flat().some((one) => equal(one, value, numeric));
      }
      const [[operator, texts]] = Object.entries(argument as object) as [[string, unknown]];
      return ![texts].flat().some((one) => passes({ [operator]: one }, value, numeric));
    }
    default:
      throw new Error(`no reading of ${name}`);
  }
}

function equal(item: unknown, value: Value, numeric: boolean): boolean {
  if (numeric) {
    const [one, other] = [numberIn(item as Value, true), numberIn(value, true)];
    if (one !== undefined && other !== undefined) return one === other;
  }
  return item === value;
}

function numberIn(value: Value, numeric: boolean): number | undefined {
  if (typeof value === "number") return value;
  return numeric && typeof value === "string" && /^-?\d/.test(value) ? Number(value) : undefined;
}

function compares(number: number, sign: string, bound: number): boolean {
  if (sign === "=") return number === bound;
  if (sign === "<") return number < bound;
  if (sign === "<=") return number <= bound;
  return sign === ">" ? number > bound : number >= bound;
}

function wild(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  if (pattern[0] === "*") return wild(pattern.slice(1), text) || (text !== "" && wild(pattern, text.slice(1)));
  const [letter, rest] = pattern[0] === "\\" ? [pattern[1], pattern.slice(2)] : [pattern[0], pattern.slice(1)];
  return text !== "" && text[0] === letter && wild(rest, text.slice(1));
}

function sameIgnoringCase(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  const unit = pattern.charAt(0);
  return [unit.toLowerCase(), unit.toUpperCase()].some(
    (form) => text.startsWith(form) && sameIgnoringCase(pattern.slice(1), text.slice(form.length)),
  );
}
