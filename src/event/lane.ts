// Lanes: which of sixteen lanes a key belongs to, fixed for ever, so that any subscriber can keep order by key.

const LANES: readonly string[] = Array.from({ length: 16 }, (_, lane) => `p${String(lane).padStart(2, "0")}`);

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** The lane (`p00` to `p15`) of a key: FNV-1a, 32 bit, over the bytes `[start, end)` of its canonical JSON, mod 16. */
export function laneOf(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  return LANES[fnv1a(bytes, start, end) % 16] as string;
}

/** FNV-1a, 32 bit, over the bytes `[start, end)`. */
export function fnv1a(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  let hash = FNV_OFFSET;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), FNV_PRIME);
  return hash >>> 0;
}

/** The same over the UTF-8 bytes of a text. */
export function fnv1aOf(text: string): number {
  let hash = FNV_OFFSET;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) return fnv1a(Buffer.from(text));
    hash = Math.imul(hash ^ code, FNV_PRIME);
  }
  return hash >>> 0;
}

/** JSON with members sorted by name and no spaces: what a key's lane is computed from. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(",")}}`;
  }
  return JSON.stringify(value ?? null);
}
