// Numbers as Postgres prints them and JSON takes them.

const MINUS = 0x2d;
const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;

/** Where the number that begins at `from` ends; `from` itself when there is none. */
export function numberEnd(source: Uint8Array, from: number, to: number): number {
  const first = source[from] === MINUS ? from + 1 : from;
  let at = digits(source, first, to);
  if (at === first || (source[first] === 0x30 && at - first > 1)) return from;
  if (at < to && source[at] === 0x2e /* . */) {
    const fraction = digits(source, at + 1, to);
    if (fraction === at + 1) return from;
    at = fraction;
  }
  if (at < to && source[at] === 0x65 /* e */) {
    const signed = source[at + 1] === MINUS || source[at + 1] === 0x2b ? at + 2 : at + 1;
    const exponent = digits(source, signed, to);
    if (exponent === signed) return from;
    at = exponent;
  }
  return at;
}

function digits(source: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && isDigit(source[at])) at++;
  return at;
}
