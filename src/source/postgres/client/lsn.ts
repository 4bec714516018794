// Log sequence numbers of Postgres: as text, as the hex of a position, and as two halves on the hot path.

/** `16/B374D848` as a number. */
export function parseLsn(text: string): bigint {
  const [high, low] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** As Postgres writes it: `16/B374D848`. */
export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase();
}

const HEX4: readonly string[] = Array.from({ length: 0x10000 }, (_, n) => n.toString(16).padStart(4, "0"));

/** An unsigned 32-bit number as eight hex digits, from a table: a position a row is made of these. */
export function hex8(word: number): string {
  return (HEX4[word >>> 16] as string) + (HEX4[word & 0xffff] as string);
}

/** Both halves of an LSN as sixteen hex digits. */
export function hex16(high: number, low: number): string {
  return hex8(high) + hex8(low);
}

/** SQL: the end of the log that this server has written out, as a `pg_lsn`; a standby's is what it has replayed. */
export const WRITTEN_END =
  "(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)";

/** SQL: the end of the log that this server has, written out or not, as a `pg_lsn`. */
export const LOG_END =
  "(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END)";
