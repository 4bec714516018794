// The effects of one attempt that Millrace makes itself.

import type { Bus } from "../../bus/bus.ts";
import { TransientError } from "../../errors.ts";
import type { Effects } from "../define/effects.ts";
import { Fatal, Retry } from "../outcome/outcome.ts";
import { type Endpoints, type Sending, typeOf } from "../outcome/sending.ts";
import type { Shadow } from "../outcome/shadow.ts";
import { type Cause, lineageBehind } from "../tx/tx.ts";

/** The attempt that they are of. */
export interface OfAttempt extends Pick<Sending, "event" | "run" | "timeoutMs"> {
  readonly signal: () => AbortSignal;
}

/** @param shadow where it is given, effects are taken down there, and not made */
export function ownEffects(
  automation: string,
  { bus, reach }: { readonly bus: Pick<Bus, "receive">; readonly reach: Endpoints | undefined },
  cause: Cause,
  { signal, ...attempt }: OfAttempt,
  shadow: Shadow | undefined,
): Effects {
  const publish: Effects["publish"] = async (event) => {
    if (shadow !== undefined) return shadow.note({ kind: "emit", type: `${event.aggregate}.${event.name}` });
    try {
      // Killed behind it, the handled event comes again, and this one is known by its id: its record was stored along with it.
      await bus.receive({ ...event, lineage: lineageBehind(cause, automation) }, [{ key: `_own.${event.id}` }]);
    } catch (error) {
      throw error instanceof TransientError ? new Retry({ after: "1s", unavailable: "the bus" }) : error;
    }
  };
  return {
    publish,
    send: async (endpoint, message) => {
      const type = typeOf(message);
      if (shadow !== undefined) return shadow.note({ kind: "send", to: endpoint, ...(type !== undefined && { type }) });
      if (reach === undefined) throw new Fatal(`nothing is reached here, and no endpoint ${endpoint}`);
      const { key } = cause.inbox;
      await reach.send({ ...attempt, automation, endpoint, message, key, publish, signal: signal() });
    },
  };
}
