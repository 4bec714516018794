// From a delivery to its event, as one of the triggers decodes it: at once, or, where the body is kept apart, once it was fetched.

import type { Bus, Delivery } from "../../bus/bus.ts";
import { PoisonError, TransientError } from "../../errors.ts";
import { dataRefOf } from "../../event/data-ref.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import type { Automation } from "../define/automation.ts";
import type { AnyEvent } from "../define/trigger.ts";
import { matches } from "../pattern/compile-pattern.ts";
import type { SettleContext } from "./job.ts";

interface Reader extends Pick<SettleContext, "persist"> {
  readonly automation: Pick<Automation, "triggers" | "where">;
  readonly bus: Pick<Bus, "fetchBody">;
}

/**
 * What can be made of a delivery: undefined when none of the triggers, or `where`, asks for it, a PoisonError when it is no event, a
 * TransientError while its body is not there.
 */
type Found = AnyEvent | undefined | PoisonError | TransientError;

/** @throws TransientError when the bus went away for good; what is no error of ours */
export function readEvent(delivery: Delivery, reader: Reader): Found | Promise<Found> {
  return delivery.data.length === 0 ? fetched(delivery, reader) : decoded(delivery, reader);
}

async function fetched(delivery: Delivery, reader: Reader): Promise<Found> {
  const { bus, persist } = reader;
  const { subject, sequence } = delivery;
  try {
    const ref = dataRefOf(delivery);
    if (ref === undefined) return decoded(delivery, reader);
    const data = await persist(() => bus.fetchBody(ref));
    if (data === undefined) return bodyMissing();
    const header = (name: string): string | undefined => delivery.header(name);
    return decoded({ subject, sequence, header, headers: () => delivery.headers(), data }, reader);
  } catch (error) {
    if (error instanceof PoisonError) return error;
    throw error;
  }
}

/** By the first trigger that wants it. */
function decoded(message: StoredMessage, { automation }: Reader): AnyEvent | undefined | PoisonError {
  try {
    for (const trigger of automation.triggers) {
      const event = trigger.decode(message);
      if (event === undefined || !trigger.match(event)) continue;
      const pattern = automation.where?.get(trigger);
      if (pattern === undefined || matches(pattern, event)) return event;
    }
    return undefined;
  } catch (error) {
    if (error instanceof PoisonError) return error;
    throw error;
  }
}

function bodyMissing(): TransientError {
  return new TransientError(
    "EVENT_BODY_MISSING",
    "the body of a large event is not in the object store, or not whole",
    {
      hint: "see whether the object that ce-dataref names is in millrace_large: was it deleted, or did it expire?",
    },
  );
}
