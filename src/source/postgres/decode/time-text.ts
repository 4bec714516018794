// Times as the protocol has them, as text.

const POSTGRES_EPOCH_US = 946_684_800_000_000;

/** Microseconds since 2000 as RFC 3339. */
export function timeText(high: number, low: number): string {
  const us = high * 0x1_0000_0000 + low + POSTGRES_EPOCH_US;
  const text = new Date(Math.floor(us / 1000)).toISOString();
  return `${text.slice(0, -1)}${String(us % 1000).padStart(3, "0")}Z`;
}
