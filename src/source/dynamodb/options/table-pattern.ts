// Which tables a source reads: names with `*` for any letters, and a leading `!` to leave tables out.

/** Whether a table is read: some pattern names it, and none leaves it out. */
export function tableFilter(patterns: readonly string[]): (table: string) => boolean {
  const test = (texts: readonly string[]): RegExp[] => texts.map(expressionOf);
  const excluded = test(patterns.filter(isExclusion).map((text) => text.slice(1)));
  const included = test(patterns.filter((text) => !isExclusion(text)));
  return (table) => included.some((one) => one.test(table)) && !excluded.some((one) => one.test(table));
}

export function isExclusion(pattern: string): boolean {
  return pattern.startsWith("!");
}

/** Whether it names one table alone. */
export function isName(pattern: string): boolean {
  return !isExclusion(pattern) && !pattern.includes("*");
}

function expressionOf(pattern: string): RegExp {
  return new RegExp(
    `^${pattern
      .split("*")
      .map((part) => part.replaceAll(".", "\\."))
      .join(".*")}$`,
  );
}
