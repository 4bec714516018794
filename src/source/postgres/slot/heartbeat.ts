// A mark in the database's log that needs no table: how long it takes to come back is what a change would take.
// It is no event: the publication does not carry it, and only its place in the log is looked for.

import { BugError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import { sqlState } from "../client/errors.ts";
import { parseLsn } from "../client/lsn.ts";
import type { Session } from "../client/session.ts";

/** Never an event: no source may be configured to read prefixes that begin with `millrace.`. */
const HEARTBEAT_PREFIX = "millrace.heartbeat";

/** The SQLSTATE of a role that may not, and of a server or a session that is read-only: neither changes by asking again. */
const REFUSALS: ReadonlySet<string | undefined> = new Set(["42501", "25006"]);

/** From here on the message can be flushed at once; before, the server's own writer does so within its `wal_writer_delay`. */
const FLUSHES = 170_000;

export interface HeartbeatOptions {
  readonly source: SourceId;
  readonly session: Session;
  /** The server's version, as `server_version_num`. */
  readonly version: number;
  readonly log: Logger;
}

/** What a heartbeat comes back on. */
export interface HeartbeatPath {
  /** Calls back once the stream is past an LSN; a newer call takes the older one's place. */
  whenPast(lsn: bigint, past: () => void): void;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #refused = false;
  #sentMs: number | undefined;
  #tookMs: number | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** How long the newest one took, or has been under way for by now; undefined before the first and where none may be sent. */
  seconds(): number | undefined {
    const waitedMs = this.#sentMs === undefined ? 0 : performance.now() - this.#sentMs;
    return this.#tookMs === undefined && this.#sentMs === undefined
      ? undefined
      : Math.max(this.#tookMs ?? 0, waitedMs) / 1000;
  }

  /** A new stream: what was under way on the old one is not looked for any more. */
  reset(): void {
    this.#sentMs = undefined;
  }

  /**
   * Sends one, unless one is under way. Resolves to where the log then ends; undefined when none was sent. A role that may
   * not is told so once; a database that is away, or in trouble, is the stream's to notice, and the next heartbeat's to try
   * again.
   * @throws BugError
   */
  async send(path: HeartbeatPath): Promise<bigint | undefined> {
    if (this.#refused || this.#sentMs !== undefined) return undefined;
    const { source, session, version, log } = this.#options;
    const flush = version >= FLUSHES ? ", true" : "";
    const sentMs = performance.now();
    this.#sentMs = sentMs;
    try {
      const [row] = await session.query<{ lsn: string }>(
        `SELECT pg_logical_emit_message(false, '${HEARTBEAT_PREFIX}', '${source}'${flush})::text AS lsn`,
      );
      const lsn = parseLsn(row?.lsn ?? "0/0");
      if (this.#sentMs !== sentMs) return undefined; // meant for a stream that has ended
      path.whenPast(lsn, () => {
        this.#tookMs = performance.now() - sentMs;
        this.#sentMs = undefined;
      });
      return lsn;
    } catch (error) {
      if (this.#sentMs === sentMs) this.#sentMs = undefined;
      if (error instanceof BugError) throw error;
      const cause = error instanceof Error ? error.cause : undefined;
      if (!REFUSALS.has(sqlState(cause))) return undefined;
      this.#refused = true;
      this.#tookMs = undefined;
      log.warn(
        "source_notice",
        { source, code: "HEARTBEAT_REFUSED", sqlState: sqlState(cause) },
        "no heartbeats: the role may not call pg_logical_emit_message here, or nobody may write; all else works without them",
      );
      return undefined;
    }
  }
}
