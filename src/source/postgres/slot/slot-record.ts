// What the source must not forget: which slot it made, of which database, and where its log began.

import { z } from "zod";
import { BugError, type MillraceError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import type { ConnectorState } from "../../source.ts";
import { formatLsn } from "../client/lsn.ts";

const lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);

/** Why a history ended, for the markers of the next one. */
const cause = z.object({
  code: z.string(),
  message: z.string(),
  /** Where the server's log left the one that the stream holds. */
  switchedAt: lsn.optional(),
});

/** Where rows were told from when it was looked last, by the catalog's numbers. */
const places = z.object({
  names: z.record(z.string(), z.string()),
  /** A hash of the row filter of each table that has one. */
  filters: z.record(z.string(), z.string()),
  /** The partitions of each root: the file's number, the transaction that put it there, and the name. */
  parts: z.record(z.string(), z.record(z.string(), z.string())),
});

/** What the publication published when it was looked at last, by the catalog's numbers. */
const knownTables = z.object({
  publication: z.string(),
  ops: z.array(z.string()),
  viaRoot: z.boolean(),
  /** The entry in the publication of each table, by the table's oid. */
  tables: z.record(z.string(), z.string()),
  /** Undefined in what older versions saved. */
  places: places.optional(),
});

/** Gaps of tables whose markers are not stored for certain, and what was published when they were found. */
const untold = z.object({
  known: knownTables,
  gaps: z.array(
    z.object({
      /** The marker's id: told again, it is the same one. */
      id: z.string(),
      code: z.string(),
      reason: z.string(),
      collections: z.array(z.string()),
      upTo: z.string().transform((text) => text as Position),
    }),
  ),
});

const identity = {
  slot: z.string(),
  publication: z.string(),
  database: z.string(),
  systemId: z.string(),
  timeline: z.int(),
  history: z.int(),
};

const slotRecordSchema = z.discriminatedUnion("stage", [
  /** Saved before anything is made. A slot that is newer than `plannedAt` is then ours. */
  z.object({ stage: z.literal("planned"), ...identity, plannedAt: lsn, cause: cause.optional() }),
  /** Saved when the slot exists. The log begins at `consistentPoint`: with a gap before it when there is a cause. */
  z.object({
    stage: z.literal("created"),
    ...identity,
    consistentPoint: lsn,
    cause: cause.optional(),
    published: knownTables.optional(),
    untold: untold.optional(),
  }),
  /** Saved when the loss of this history was accepted. Its slot goes, then the next history is planned. */
  z.object({ stage: z.literal("abandoned"), ...identity, cause }),
]);

export type SlotRecord = z.infer<typeof slotRecordSchema>;
export type Planned = Extract<SlotRecord, { stage: "planned" }>;
export type Created = Extract<SlotRecord, { stage: "created" }>;
export type Abandoned = Extract<SlotRecord, { stage: "abandoned" }>;
export type KnownTables = z.infer<typeof knownTables>;
export type Places = z.infer<typeof places>;
export type Untold = z.infer<typeof untold>;
export type Cause = z.infer<typeof cause>;

export function causeOf({ code, message }: MillraceError, switchedAt?: bigint): Cause {
  return { code, message, ...(switchedAt === undefined ? {} : { switchedAt: formatLsn(switchedAt) }) };
}

/** @throws BugError when something else is stored there */
export async function loadSlotRecord(memory: ConnectorState): Promise<SlotRecord | undefined> {
  return readSlotRecord(await memory.load());
}

/** @throws BugError when something else is stored there */
export function readSlotRecord(stored: Readonly<Record<string, unknown>> | undefined): SlotRecord | undefined {
  if (stored === undefined) return undefined;
  const intent = slotRecordSchema.safeParse(stored);
  if (!intent.success)
    throw new BugError("MEMORY_UNREADABLE", "the source's saved state is not what this version writes");
  return intent.data;
}
