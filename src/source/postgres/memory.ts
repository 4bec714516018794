// What the source must not forget: which slot it made, of which database, and where its log began.

import { z } from "zod";
import { BugError } from "../../errors.ts";
import type { SourceMemory } from "../source.ts";

const lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);

const identity = {
  slot: z.string(),
  publication: z.string(),
  database: z.string(),
  systemId: z.string(),
  timeline: z.int(),
  history: z.int(),
};

const intentSchema = z.discriminatedUnion("stage", [
  /** Saved before anything is made. A slot that is newer than `plannedAt` is then ours. */
  z.object({ stage: z.literal("planned"), ...identity, plannedAt: lsn }),
  /** Saved when the slot exists. The log begins at `consistentPoint`. */
  z.object({
    stage: z.literal("created"),
    ...identity,
    consistentPoint: lsn,
    reason: z.enum(["first start", "adopted"]),
  }),
]);

export type Intent = z.infer<typeof intentSchema>;
export type Planned = Extract<Intent, { stage: "planned" }>;
export type Created = Extract<Intent, { stage: "created" }>;

/** @throws BugError when something else is stored there */
export async function loadIntent(memory: SourceMemory): Promise<Intent | undefined> {
  const stored = await memory.load();
  if (stored === undefined) return undefined;
  const intent = intentSchema.safeParse(stored);
  if (!intent.success)
    throw new BugError("MEMORY_UNREADABLE", "the source's saved state is not what this version writes");
  return intent.data;
}
