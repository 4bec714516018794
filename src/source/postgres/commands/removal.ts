// What a source leaves in its database, shown and taken away: the slot that would fill the disk, and our own publication.

import { TransientError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { bytes } from "../../../telemetry/quantities.ts";
import type { Leftovers, Removal } from "../../capabilities.ts";
import { WRITTEN_END } from "../client/lsn.ts";
import { clientConfig, Session } from "../client/session.ts";
import { quoteIdentifier } from "../client/sql.ts";
import type { PostgresConfig } from "../options/config.ts";
import { dropSlotWhenFree } from "../slot/slot.ts";
import { publicationNameOf, slotNameOf } from "../slot/slot-facts.ts";
import { publicationMark } from "../tables/publication-sql.ts";

interface Found {
  readonly slot: FoundSlot | null;
  /** Only one that Millrace made for this source is taken away. */
  readonly publication: { readonly name: string; readonly ours: boolean } | null;
}

interface FoundSlot {
  readonly name: string;
  /** The process of the walsender that reads it now. */
  readonly pid: number | null;
  /** Log that the disk holds for it. */
  readonly retainedBytes: number | null;
  /** Log that the stream may not have. */
  readonly unconfirmedBytes: number | null;
}

const facts = `
  SELECT (
    SELECT json_build_object('name', slot_name, 'pid', active_pid,
      'retainedBytes', pg_wal_lsn_diff(c.lsn, restart_lsn)::float8,
      'unconfirmedBytes', pg_wal_lsn_diff(c.lsn, confirmed_flush_lsn)::float8)
    FROM pg_replication_slots, (SELECT ${WRITTEN_END} AS lsn) c
    WHERE slot_name = $1 AND database = current_database()
  ) AS slot, (
    SELECT json_build_object('name', pubname, 'ours', coalesce(obj_description(oid, 'pg_publication') = $3, false))
    FROM pg_publication WHERE pubname = $2
  ) AS publication`;

export const removal: Removal<PostgresConfig> = { parts: ["slot", "publication"], find };

/** @throws ConfigError, TransientError */
async function find(id: SourceId, config: PostgresConfig): Promise<Leftovers> {
  await using session = new Session(clientConfig(id, config.url));
  const [row] = await session.query<{ [Key in keyof Found]: Found[Key] }>(facts, [
    slotNameOf(id, config),
    publicationNameOf(id, config),
    publicationMark(id),
  ]);
  const found = row as Found;
  return { lines: linesOf(found), report: { ...found }, remove: () => remove(id, config, found) };
}

function linesOf({ slot, publication }: Found): readonly string[] {
  const lines =
    slot === null
      ? ["no slot in its database"]
      : [
          `slot ${slot.name}: frees ${bytes(slot.retainedBytes)} of log; ${bytes(slot.unconfirmedBytes)} that it has not acknowledged are lost to the stream`,
        ];
  if (publication === null) return lines;
  return [
    ...lines,
    publication.ours
      ? `publication ${publication.name}`
      : `publication ${publication.name}: stays, for Millrace has not made it; if nobody else reads it: DROP PUBLICATION ${quoteIdentifier(publication.name)};`,
  ];
}

/** The slot first: it is what fills a disk. @throws TransientError SLOT_ACTIVE; ConfigError PERMISSION_MISSING */
async function remove(id: SourceId, config: PostgresConfig, { slot, publication }: Found): Promise<void> {
  if (slot !== null && slot.pid !== null) {
    throw new TransientError("SLOT_ACTIVE", `the process ${slot.pid} reads the slot ${slot.name}`, {
      hint: "Stop the worker of this source first; nothing was removed.",
    });
  }
  await using session = new Session(clientConfig(id, config.url));
  if (slot !== null) await dropSlotWhenFree(session, slot.name);
  if (publication?.ours === true) await session.query(`DROP PUBLICATION ${quoteIdentifier(publication.name)}`);
}
