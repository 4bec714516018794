// Looks at a running source from beside its stream: how far the log is ahead, the heartbeat, and whether it moves at all.

import { type MillraceError, TransientError } from "../../../errors.ts";
import { positionsAt } from "../../../event/positions.ts";
import type { SourceHeartbeat, SourceLag } from "../../source.ts";
import { formatLsn, parseLsn, WRITTEN_END } from "../client/lsn.ts";
import { boundaryBefore } from "../client/position.ts";
import type { Received } from "../replication/replication.ts";
import { Heartbeat, type HeartbeatOptions, type HeartbeatPath } from "./heartbeat.ts";
import { Progress } from "./progress.ts";
import { slotMissing } from "./provide-slot.ts";

/** The stream, as far as it is looked at. */
export interface WatchedStream extends HeartbeatPath {
  received(): Received;
  /** Ends it with this reason. */
  abandon(reason: MillraceError): void;
}

const MAX_STILL_LOOKS = 2;

const lagOf = `
  SELECT c.lsn::text AS "end", pg_wal_lsn_diff(c.lsn, s.confirmed_flush_lsn)::float8 AS unconfirmed,
    greatest(0, pg_wal_lsn_diff(c.lsn, r.sent_lsn))::float8 AS unsent
  FROM pg_replication_slots s
  CROSS JOIN LATERAL (SELECT ${WRITTEN_END} AS lsn) c
  LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
  WHERE s.slot_name = $1`;

const senderOf = `
  SELECT s.active_pid AS pid, a.wait_event_type AS "waitsFor", a.wait_event AS "waitEvent"
  FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid
  WHERE s.slot_name = $1`;

/** The process that sends the stream. */
interface Sender {
  readonly pid: number | null;
  readonly waitsFor: string | null;
  readonly waitEvent: string | null;
}

export class StreamMonitor implements SourceHeartbeat {
  readonly #options: HeartbeatOptions;
  readonly #heartbeat: Heartbeat;
  #stream: WatchedStream | undefined;
  #progress = new Progress();
  #firstEnd: bigint | undefined;
  #lastEnd: bigint | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#heartbeat = new Heartbeat(options);
  }

  seconds(): number | undefined {
    return this.#heartbeat.seconds();
  }

  /** A stream has started; undefined: it has ended. */
  async follow(stream: WatchedStream | undefined): Promise<void> {
    this.#stream = stream;
    this.#progress = new Progress();
    this.#heartbeat.reset();
    await this.send();
  }

  /** @throws HistoryLostError SLOT_MISSING, TransientError */
  async lag(slot: string, history: number): Promise<SourceLag> {
    const [lag] = await this.#options.session.query<{ end: string; unconfirmed: number; unsent: number | null }>(
      lagOf,
      [slot],
    );
    if (lag === undefined) throw slotMissing(slot);
    const end = parseLsn(lag.end);
    this.#firstEnd ??= end;
    // What was written last may be a part of a record; once there is more behind it, it can be read.
    if (this.#lastEnd !== undefined && end > this.#lastEnd) this.#progress.expect(this.#lastEnd);
    this.#lastEnd = end;
    let reached = this.#firstEnd;
    if (this.#progress.expected > reached) reached = this.#progress.expected;
    return {
      unsentBytes: lag.unsent ?? undefined,
      unconfirmedBytes: lag.unconfirmed,
      end: positionsAt({ position: boundaryBefore(history, reached) }),
    };
  }

  /** Sends a heartbeat through the stream. */
  async send(): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined) return;
    const lsn = await this.#heartbeat.send(stream).catch((bug: MillraceError) => stream.abandon(bug));
    if (lsn !== undefined && stream === this.#stream) this.#progress.expect(lsn);
  }

  /** Ends a stream that stood still at two looks in a row, where something was to come. @throws TransientError */
  async checkProgress(slot: string): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined) return;
    const received = stream.received();
    if (this.#progress.look(received) < MAX_STILL_LOOKS) return;
    const { session } = this.#options;
    const [sender] = await session.query<{ [Key in keyof Sender]: Sender[Key] }>(senderOf, [slot]);
    const { pid = null, waitsFor = null, waitEvent = null } = sender ?? {};
    // One that computes or reads is decoding something large, and would have to begin it again.
    const works = pid !== null && (waitsFor === null || /^(IO|LWLock|BufferPin|Timeout)$/.test(waitsFor));
    if (works) return;
    const who = pid === null ? "no process" : `the process ${pid} (${waitsFor} ${waitEvent})`;
    stream.abandon(
      new TransientError(
        "SOURCE_STUCK",
        `the log has reached ${formatLsn(this.#progress.expected)}, and the stream stands still at ${formatLsn(received.lsn)}; ${who} sends it`,
        { hint: "Millrace connects again by itself; if that does not help, see that process in pg_stat_activity." },
      ),
    );
  }
}
