// What a judge finds wrong, and how it is told: how many there are of each kind, with examples.

const EXAMPLES = 2;

/** One thing that is wrong. */
export interface Wrong {
  /** The same words for everything that is wrong in the same way. */
  readonly kind: string;
  /** Which one it is. */
  readonly what: string;
}

export function wrongly(kind: string, what = ""): Wrong {
  return { kind, what };
}

/** A line for each kind, and below it the first of that kind. */
export function listWrong(wrong: readonly Wrong[]): readonly string[] {
  const kinds = [...new Set(wrong.map(({ kind }) => kind))];
  return kinds.flatMap((kind) => {
    const those = wrong.filter((one) => one.kind === kind);
    return [`${those.length} x ${kind}`, ...those.slice(0, EXAMPLES).map(({ what }) => `    ${what}`)];
  });
}
