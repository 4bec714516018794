// Decimal numbers of any length, compared by value and without rounding: what numeric and bigint columns hold.

/** `0.digits * 10^exponent`, without zeros at either end; zero has no digits. */
export interface Decimal {
  readonly negative: boolean;
  readonly digits: string;
  readonly exponent: number;
}

const FORM = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,6}))?$/;

/** Undefined for a text that is no number: `NaN`, `infinity`, ``, `0x10`. */
export function decimalOf(text: string): Decimal | undefined {
  const [, sign, whole = "", fraction = "", power = "0"] = FORM.exec(text) ?? [];
  if (sign === undefined) return undefined;
  const all = whole + fraction;
  let [first, end] = [0, all.length];
  while (first < end && all.charCodeAt(first) === 48) first++;
  while (end > first && all.charCodeAt(end - 1) === 48) end--;
  if (first === end) return ZERO;
  return { negative: sign === "-", digits: all.slice(first, end), exponent: whole.length - first + Number(power) };
}

const ZERO: Decimal = { negative: false, digits: "", exponent: 0 };

/** One text for each number, however it is written. */
export function canonical({ negative, digits, exponent }: Decimal): string {
  return `${negative ? "-" : ""}${digits}e${exponent}`;
}

/** Below 0, 0 or above 0, as the first is less than, equal to or greater than the second. */
export function compare(one: Decimal, other: Decimal): number {
  const signs = signOf(one) - signOf(other);
  if (signs !== 0) return signs;
  const size = one.exponent - other.exponent || (one.digits < other.digits ? -1 : Number(one.digits > other.digits));
  return one.negative ? -size : size;
}

function signOf({ negative, digits }: Decimal): number {
  if (digits === "") return 0;
  return negative ? -1 : 1;
}
