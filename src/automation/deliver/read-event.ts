// From a delivery to its event: at once, or, where the body is kept apart, once it was fetched.

import type { Bus, Delivery } from "../../bus/bus.ts";
import { PoisonError, TransientError } from "../../errors.ts";
import { dataRefOf } from "../../event/data-ref.ts";
import { isDomainSubject, parseDomainEvent } from "../../event/parse-domain-event.ts";
import { parseEvent, type StoredMessage } from "../../event/parse-event.ts";
import { isSystemSubject, parseSystemEvent } from "../../event/system-event.ts";
import type { AnyEvent, Automation } from "../define/automation.ts";

interface Reader {
  readonly automation: Pick<Automation, "triggers">;
  readonly bus: Pick<Bus, "fetchBody">;
  /** Repeats an operation while the bus is away. */
  readonly persist: <Result>(operation: () => Promise<Result>) => Promise<Result>;
}

/** What can be made of a delivery: a PoisonError when it is no event, a TransientError while its body is not there. */
type Found = AnyEvent | PoisonError | TransientError;

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

function decoded(message: StoredMessage, { automation }: Reader): AnyEvent | PoisonError {
  try {
    const { subject } = message;
    if (isSystemSubject(subject)) return parseSystemEvent(message);
    if (isDomainSubject(subject)) return parseDomainEvent(message);
    const event = parseEvent(message);
    const trigger = automation.triggers.find(({ decode, filter }) => decode && subject.startsWith(filter.slice(0, -1)));
    return trigger?.decode?.(event) ?? event;
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
