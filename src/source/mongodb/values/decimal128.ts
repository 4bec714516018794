// IEEE 754 decimal128 in its binary (BID) form, as the text that MongoDB's own tools print.

const EXPONENT_BIAS = 6176;
const LARGEST = 10n ** 34n - 1n;

/** @param from where the 16 bytes begin, the lowest first */
export function decimalText(bytes: Buffer, from: number): string {
  const low = bytes.readBigUInt64LE(from);
  const high = bytes.readBigUInt64LE(from + 8);
  const sign = high >> 63n === 1n ? "-" : "";
  const combination = Number((high >> 58n) & 0x1fn);
  if (combination === 0x1f) return "NaN";
  if (combination === 0x1e) return `${sign}Infinity`;
  // A coefficient of more than 34 digits stands for zero; one that begins with the bits 100 always has more.
  const isLarge = combination >> 3 === 3;
  const exponent = Number((high >> (isLarge ? 47n : 49n)) & 0x3fffn) - EXPONENT_BIAS;
  const coefficient = isLarge ? 0n : ((high & 0x1ffffffffffffn) << 64n) | low;
  return sign + scientific((coefficient > LARGEST ? 0n : coefficient).toString(), exponent);
}

/** "To scientific string" of the General Decimal Arithmetic specification. */
function scientific(digits: string, exponent: number): string {
  const adjusted = exponent + digits.length - 1;
  if (exponent > 0 || adjusted < -6) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
    return `${digits[0]}${fraction}E${adjusted < 0 ? "" : "+"}${adjusted}`;
  }
  if (exponent === 0) return digits;
  const whole = digits.length + exponent;
  return whole > 0 ? `${digits.slice(0, whole)}.${digits.slice(whole)}` : `0.${"0".repeat(-whole)}${digits}`;
}
