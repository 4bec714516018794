// What caused an event, as the application says it where no transaction carries it.

import { PoisonError } from "../errors.ts";
import { isCauseId, type Lineage } from "../event/lineage.ts";

export type Cause = Pick<Lineage, "correlationId" | "causationId">;

/** The two ids alone. @throws PoisonError LINEAGE_MALFORMED */
export function checkedCause(lineage: Cause | undefined): Cause | undefined {
  if (lineage === undefined) return undefined;
  const { correlationId, causationId } = lineage;
  if (isCauseId(correlationId) && isCauseId(causationId)) return { correlationId, causationId };
  throw new PoisonError("LINEAGE_MALFORMED", "the option lineage does not say what caused the event", {
    hint: "give it correlationId and causationId, the ids of two events",
  });
}
