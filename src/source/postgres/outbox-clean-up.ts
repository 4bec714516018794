// Deletes what the application left in the outbox once it is old enough. Its insert is in the log, whatever becomes of the row.

import { setTimeout as delay } from "node:timers/promises";
import { MillraceError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Session } from "./client/session.ts";
import { quoteTable } from "./client/sql.ts";

export interface OutboxCleanUpOptions {
  readonly source: SourceId;
  readonly table: { readonly schema: string; readonly name: string };
  readonly keepMs: number;
  readonly session: Session;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Rows of one statement, so that nobody waits for it for long. */
const AT_ONCE = 5_000;
const MAX_PAUSE_MS = 3_600_000;

/** Until the signal. Never rejects: what could not be deleted is tried again, and said once. */
export async function cleanUpOutbox(options: OutboxCleanUpOptions): Promise<void> {
  const { source, keepMs, log, signal } = options;
  const pauseMs = Math.min(MAX_PAUSE_MS, Math.max(1_000, keepMs / 10));
  let said = false;
  while (!signal.aborted) {
    try {
      while (!signal.aborted && (await deleteOld(options)) === AT_ONCE);
      said = false;
    } catch (error) {
      const code = error instanceof MillraceError ? error.code : "UNEXPECTED";
      if (!said && !signal.aborted)
        log.warn("source_notice", { source, code }, "old rows of the outbox could not be deleted; tried again later");
      said = true;
    }
    await delay(pauseMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

async function deleteOld({ table, keepMs, session }: OutboxCleanUpOptions): Promise<number> {
  const name = quoteTable(table);
  const [row] = await session.query<{ deleted: number }>(
    `WITH old AS (
       SELECT ctid FROM ${name} WHERE created_at < now() - $1 * interval '1 ms' LIMIT ${AT_ONCE} FOR UPDATE SKIP LOCKED
     ), gone AS (DELETE FROM ${name} WHERE ctid IN (SELECT ctid FROM old) RETURNING 1)
     SELECT count(*)::int AS deleted FROM gone`,
    [keepMs],
  );
  return row?.deleted ?? 0;
}
