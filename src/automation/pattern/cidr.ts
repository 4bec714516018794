// IP addresses: one text for each address however it is written, and blocks of them.

import { invalidPattern } from "./invalid-pattern.ts";

/** An address as a number, with its length in bits. */
interface Address {
  readonly bits: 32 | 128;
  readonly number: bigint;
}

/** The same text for every way in which an address is written; undefined for what is no address. */
export function canonicalAddress(text: string): string | undefined {
  const address = parseAddress(text);
  return address && `${address.bits}:${address.number}`;
}

/**
 * The test of a block like `10.0.0.0/8`; bits behind the prefix do not count.
 * @throws ConfigError for what is no block, and for a whole address: that is written as a plain text
 */
export function parseCidr(text: string, place: string): (value: string) => boolean {
  const [, base = "", length = ""] = /^([^/]*)\/(\d{1,3})$/.exec(text) ?? [];
  const block = parseAddress(base);
  if (block === undefined || Number(length) >= block.bits) {
    throw invalidPattern(
      place,
      `${JSON.stringify(text)} is no block of addresses`,
      'write "10.0.0.0/8" or "2001:db8::/32"; a single address is a plain text',
    );
  }
  const behind = BigInt(block.bits - Number(length));
  const prefix = block.number >> behind;
  return (value) => {
    const address = parseAddress(value);
    return address !== undefined && address.bits === block.bits && address.number >> behind === prefix;
  };
}

/** Four decimal numbers, or IPv6 without a decimal part; an IPv4 address written as IPv6 is the IPv4 address. */
function parseAddress(text: string): Address | undefined {
  if (text.length > 39) return undefined;
  const decimal = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (decimal !== null) {
    const bytes = decimal.slice(1).map(Number);
    return bytes.every((byte) => byte <= 255) ? { bits: 32, number: joined(bytes, 8n) } : undefined;
  }
  if (!/^[0-9A-Fa-f:]+$/.test(text) || !text.includes(":")) return undefined;
  const halves = text.split("::");
  const [head = [], tail = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const written = head.length + tail.length;
  const complete = halves.length === 1 ? written === 8 : halves.length === 2 && written < 8;
  const groups = [...head, ...Array.from({ length: 8 - written }, () => "0"), ...tail];
  if (!complete || !groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return undefined;
  const number = joined(
    groups.map((group) => Number.parseInt(group, 16)),
    16n,
  );
  return number >> 32n === 0xffffn ? { bits: 32, number: number & 0xffffffffn } : { bits: 128, number };
}

function joined(parts: readonly number[], width: bigint): bigint {
  return parts.reduce((number, part) => (number << width) | BigInt(part), 0n);
}
