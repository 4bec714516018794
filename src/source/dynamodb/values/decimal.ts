// Compares numbers of up to 38 digits by their texts.

interface Decimal {
  readonly negative: boolean;
  /** Without zeros at either end; empty for zero. */
  readonly digits: string;
  /** Of the first digit: 0 for 1 to 9. */
  readonly magnitude: number;
}

/** Negative, zero or positive, as `a` is less than, equal to or more than `b`. */
export function compareDecimals(a: string, b: string): number {
  const [x, y] = [parse(a), parse(b)];
  if (x.negative !== y.negative) return x.negative ? -1 : 1;
  const order = compareAmounts(x, y);
  return x.negative ? -order : order;
}

function compareAmounts(x: Decimal, y: Decimal): number {
  if (x.digits === "" || y.digits === "") return x.digits.length - y.digits.length;
  if (x.magnitude !== y.magnitude) return x.magnitude - y.magnitude;
  return x.digits < y.digits ? -1 : x.digits > y.digits ? 1 : 0;
}

function parse(text: string): Decimal {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] =
    /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const all = whole + fraction;
  const leading = all.length - all.replace(/^0+/, "").length;
  const digits = all.slice(leading).replace(/0+$/, "");
  return {
    negative: sign === "-" && digits !== "",
    digits,
    magnitude: whole.length - leading - 1 + Number(exponent),
  };
}
