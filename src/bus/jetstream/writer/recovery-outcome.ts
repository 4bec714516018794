// What a recovery found, and why its writer cannot always go on from there.

import { TransientError } from "../../../errors.ts";
import type { StreamMessage } from "../../../event/message.ts";
import { laterPositions, type Positions, reaches } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Established, EstablishOptions } from "../recovery/establish.ts";

/** Whether messages are gone that the bus had acknowledged. @param before how far the stream was */
export function hasLostMessages(
  { lost, tail, resume, storedThrough }: Established,
  before: Positions | undefined,
): boolean {
  if (lost !== undefined || before === undefined) return lost !== undefined;
  return tail === undefined || !reaches(laterPositions(resume, storedThrough), before);
}

/** Of large events in the stream, or of those that wait. @throws TransientError */
export async function hasLostBodies(
  { storedThrough }: Established,
  waiting: readonly StreamMessage[],
  hasBody: EstablishOptions["hasBody"],
): Promise<boolean> {
  if (storedThrough !== undefined) return true;
  for (const { ref } of waiting) if (ref !== undefined && !(await hasBody(ref))) return true;
  return false;
}

export function lostMessages(source: SourceId): TransientError {
  return new TransientError("BUS_LOST_MESSAGES", `the bus lost messages it had acknowledged, of ${source}`, {
    hint: "the source is read again from the surviving tail",
  });
}

export function lostBodies(source: SourceId): TransientError {
  return new TransientError("BUS_LOST_BODIES", `the bus lost bodies of large events of ${source}`, {
    hint: "nothing to do: the source is read again, and they are stored again",
  });
}
