// What the source's own slot holds back: one small question again and again, on a session of its own.

import { HistoryLostError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { LogRetention, RetentionMetric, RetentionProbe } from "../../retention.ts";
import { WRITTEN_END } from "../client/lsn.ts";
import { clientConfig, Session } from "../client/session.ts";
import { namesOf } from "../facts/names.ts";
import type { PostgresConfig } from "../options/config.ts";
import { withSlot } from "./slot.ts";
import { slotMetrics } from "./slot-metrics.ts";
import { fullInSeconds } from "./transactions.ts";

const facts = `
  SELECT extract(epoch FROM clock_timestamp())::float8 AS seconds,
    pg_wal_lsn_diff(c.lsn, '0/0')::float8 AS "end",
    pg_wal_lsn_diff(s.confirmed_flush_lsn, '0/0')::float8 AS confirmed,
    pg_wal_lsn_diff(c.lsn, s.restart_lsn)::float8 AS retained,
    s.safe_wal_size::float8 AS safe,
    age(s.catalog_xmin)::float8 AS "catalogXminAge",
    s.wal_status = 'lost' OR to_jsonb(s)->>'invalidation_reason' IS NOT NULL AS lost
  FROM pg_replication_slots s CROSS JOIN LATERAL (SELECT ${WRITTEN_END} AS lsn) c
  WHERE s.slot_name = $1`;

/** In one statement with the drop: another worker may have made the slot anew since somebody looked. */
const dropIfFull = `
  SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
  WHERE slot_name = $1 AND pg_wal_lsn_diff(${WRITTEN_END}, restart_lsn) >= $2`;

interface Facts {
  /** The server's clock. */
  readonly seconds: number;
  readonly end: number;
  readonly confirmed: number | null;
  readonly retained: number | null;
  readonly safe: number | null;
  readonly catalogXminAge: number | null;
  readonly lost: boolean | null;
}

/** The rate is taken over so many looks: what is held goes up and down by some seconds' worth in the best of states. */
const RATE_LOOKS = 7;
const MIN_RATE_LOOKS = 4;
const MAX_ENDS = 1000;

export class SlotRetention implements RetentionProbe {
  readonly metrics: readonly RetentionMetric[];
  readonly full: RetentionProbe["full"];
  readonly #session: Session;
  readonly #slot: string;
  /** What was held at the last looks. */
  #held: { readonly seconds: number; readonly bytes: number }[] = [];
  /** Where the log ended, and when: those beyond what is acknowledged. */
  #ends: { readonly seconds: number; readonly end: number }[] = [];

  constructor(id: SourceId, config: Pick<PostgresConfig, "url" | "slot" | "full" | "guard">) {
    this.metrics = slotMetrics(config.guard);
    this.full = config.full && {
      measure: "retainedBytes",
      limit: config.full.atBytes,
      action: config.full.action,
      reason: slotFull(id, config.full.atBytes),
    };
    this.#session = new Session(clientConfig(id, config.url));
    this.#slot = namesOf(id, config).slot;
  }

  async look(): Promise<LogRetention | undefined> {
    const [row] = await this.#session.query<Facts>(facts, [this.#slot]);
    const retained = row?.retained ?? undefined;
    if (row === undefined || row.lost || retained === undefined) {
      this.#held = [];
      this.#ends = [];
    }
    if (row === undefined) return undefined;
    if (row.lost || retained === undefined) return { lost: row.lost ? 1 : 0 };
    this.#held = [...this.#held, { seconds: row.seconds, bytes: retained }].slice(-RATE_LOOKS);
    return {
      lost: 0,
      retainedBytes: retained,
      timeToFullSeconds: this.#timeToFull(row, retained),
      lagSeconds: this.#lag(row),
      catalogXminAge: row.catalogXminAge ?? undefined,
    };
  }

  async drop(): Promise<boolean> {
    const limit = this.full?.limit;
    if (limit === undefined) return false;
    const dropped = await withSlot(this.#session, this.#slot, () =>
      this.#session.query(dropIfFull, [this.#slot, limit]),
    );
    return dropped.length > 0;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]();
  }

  /** By how fast it holds more, not by how fast the server writes: a slot that keeps up is never full. */
  #timeToFull({ safe }: Facts, retained: number): number | undefined {
    const [first, last] = [this.#held[0], this.#held.at(-1)];
    if (first === undefined || last === undefined || this.#held.length < MIN_RATE_LOOKS) return undefined;
    const rate = (last.bytes - first.bytes) / (last.seconds - first.seconds);
    const rooms = [safe, this.full === undefined ? null : this.full.limit - retained].filter((room) => room !== null);
    if (rooms.length === 0) return undefined;
    return fullInSeconds({ safeBytes: Math.min(...rooms), invalidation: null }, rate) ?? undefined;
  }

  #lag({ seconds, end, confirmed }: Facts): number | undefined {
    if (confirmed === null) return undefined;
    if (end > (this.#ends.at(-1)?.end ?? confirmed)) this.#ends.push({ seconds, end });
    this.#ends = this.#ends.filter((known) => known.end > confirmed);
    // Coarser, but never unbounded, and the oldest one stays.
    if (this.#ends.length > MAX_ENDS) this.#ends = this.#ends.filter((_, nth) => nth % 2 === 0);
    const [oldest] = this.#ends;
    return oldest === undefined ? 0 : seconds - oldest.seconds;
  }
}

function slotFull(source: SourceId, atBytes: number | undefined): HistoryLostError {
  return new HistoryLostError("SLOT_FULL", `the slot of ${source} holds more than ${atBytes} bytes of log`, {
    hint: "The slot stays, and goes on growing. Raise slot.fullAtBytes and start again to catch up; or drop it (millrace slots drop) and run --adopt, which starts over and records the gap.",
  });
}
