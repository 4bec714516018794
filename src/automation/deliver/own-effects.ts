// The effects of one attempt that Millrace makes itself.

import type { Bus } from "../../bus/bus.ts";
import { TransientError } from "../../errors.ts";
import type { Effects } from "../define/effects.ts";
import { Retry } from "../outcome/outcome.ts";
import type { Shadow } from "../outcome/shadow.ts";
import { type Cause, lineageBehind } from "../tx/tx.ts";

/** @param shadow where it is given, effects are taken down there, and not made */
export function ownEffects(
  automation: string,
  bus: Pick<Bus, "publish">,
  cause: Cause,
  shadow: Shadow | undefined,
): Effects {
  return {
    publish: async (event) => {
      if (shadow !== undefined) return shadow.note({ kind: "emit", type: `${event.aggregate}.${event.name}` });
      try {
        // Killed behind it, the handled event comes again, and this one is stored under the same id, within an hour once.
        await bus.publish({ ...event, lineage: lineageBehind(cause, automation) });
      } catch (error) {
        throw error instanceof TransientError ? new Retry({ after: "1s", unavailable: "the bus" }) : error;
      }
    },
  };
}
