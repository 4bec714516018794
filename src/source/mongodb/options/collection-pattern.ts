// Which collections a source reads: names with `*` for any letters, and a leading `!` to leave collections out.

/** Whether events of a collection are read: some pattern names it, and none leaves it out. */
export function collectionFilter(patterns: readonly string[]): (collection: string) => boolean {
  const test = (texts: readonly string[]): RegExp[] => texts.map((text) => new RegExp(expressionOf(text), "su"));
  const excluded = test(patterns.filter(isExclusion).map((text) => text.slice(1)));
  const included = test(patterns.filter((text) => !isExclusion(text)));
  return (collection) =>
    !collection.startsWith("system.") &&
    included.some((one) => one.test(collection)) &&
    !excluded.some((one) => one.test(collection));
}

/** A pattern as an anchored regular expression, which the server understands too: its `.` must stand for any letter. */
function expressionOf(pattern: string): string {
  return `^${pattern
    .split("*")
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
    .join(".*")}$`;
}

/** Patterns as the server's conditions on an event's collection, one of which must hold: plain names need no expression. */
export function conditionsOf(patterns: readonly string[]): readonly object[] {
  const names = patterns.filter((pattern) => !pattern.includes("*"));
  const others = patterns.filter((pattern) => pattern.includes("*")).map(expressionOf);
  return [
    ...(names.length === 0 ? [] : [{ "ns.coll": { $in: names } }]),
    ...others.map((expression) => ({ "ns.coll": { $regex: expression, $options: "s" } })),
  ];
}

export function isExclusion(pattern: string): boolean {
  return pattern.startsWith("!");
}
