// What a source leaves in its database, shown and taken away: the slot that would fill the disk, and our own publication.

import { TransientError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { bytes } from "../../../telemetry/quantities.ts";
import type { Leftovers, Removal } from "../../capabilities.ts";
import { clientConfig, identify, Session } from "../client/session.ts";
import { quoteIdentifier } from "../client/sql.ts";
import { namesOf } from "../facts/names.ts";
import { readPublished } from "../facts/publication.ts";
import { readSlots, type Slot } from "../facts/slots.ts";
import type { PostgresConfig } from "../options/config.ts";
import { dropSlotWhenFree } from "../slot/slot.ts";

interface Found {
  readonly slot: Pick<Slot, "name" | "pid" | "retainedBytes" | "unconfirmedBytes"> | null;
  /** Only one that Millrace made for this source is taken away. */
  readonly publication: { readonly name: string; readonly ours: boolean } | null;
}

export const removal: Removal<PostgresConfig> = { parts: ["slot", "publication"], find };

/** @throws ConfigError, TransientError */
async function find(id: SourceId, config: PostgresConfig): Promise<Leftovers> {
  await using session = new Session(clientConfig(id, config.url));
  const names = namesOf(id, config);
  const { database } = await identify(session);
  const slot = (await readSlots(session, names.slot)).find((one) => one.database === database);
  const published = await readPublished(session, id, names.publication, []);
  const found: Found = {
    slot: slot === undefined ? null : reported(slot),
    publication: published === undefined ? null : { name: names.publication, ours: published.ours },
  };
  return { lines: linesOf(found), report: { ...found }, remove: () => remove(id, config, found) };
}

function reported({ name, pid, retainedBytes, unconfirmedBytes }: Slot): Found["slot"] {
  return { name, pid, retainedBytes, unconfirmedBytes };
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
