// JSON pointers, as RFC 6901 has them.

/** The names and indices that a pointer goes through: of `/a~1b/0` they are `a/b` and `0`. */
export function pointerParts(pointer: string): readonly string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** What stands there; undefined where nothing does. Only own members, of objects and lists: nothing that a value's kind brings along. */
export function valueAt(value: unknown, parts: readonly string[]): unknown {
  let found = value;
  for (const part of parts) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, part)) return undefined;
    if (Array.isArray(found) && !/^(0|[1-9]\d*)$/.test(part)) return undefined;
    found = (found as Readonly<Record<string, unknown>>)[part];
  }
  return found;
}
