// From a delivery to its event: at once, or, where the body is kept apart, once it was fetched.

import type { Bus, Delivery } from "../bus/bus.ts";
import { PoisonError, TransientError } from "../errors.ts";
import { dataRefOf } from "../event/data-ref.ts";
import { isDomainSubject, parseDomainEvent } from "../event/parse-domain-event.ts";
import { parseEvent, type StoredMessage } from "../event/parse-event.ts";
import { isSystemSubject, parseSystemEvent } from "../event/system-event.ts";
import type { AnyEvent } from "./automation.ts";

interface Reader {
  readonly bus: Pick<Bus, "fetchBody">;
  /** Repeats an operation while the bus is away. */
  readonly persist: <Result>(operation: () => Promise<Result>) => Promise<Result>;
}

/** What can be made of a delivery: a PoisonError when it is no event, a TransientError while its body is not there. */
type Found = AnyEvent | PoisonError | TransientError;

/** @throws TransientError when the bus went away for good; what is no error of ours */
export function readEvent(delivery: Delivery, reader: Reader): Found | Promise<Found> {
  return delivery.data.length === 0 ? fetched(delivery, reader) : decoded(delivery);
}

async function fetched(delivery: Delivery, { bus, persist }: Reader): Promise<Found> {
  const { subject, sequence } = delivery;
  try {
    const ref = dataRefOf(delivery);
    if (ref === undefined) return decoded(delivery);
    const data = await persist(() => bus.fetchBody(ref));
    if (data === undefined) return bodyMissing();
    return decoded({
      subject,
      sequence,
      header: (name) => delivery.header(name),
      headers: () => delivery.headers(),
      data,
    });
  } catch (error) {
    if (error instanceof PoisonError) return error;
    throw error;
  }
}

function decoded(message: StoredMessage): AnyEvent | PoisonError {
  try {
    const { subject } = message;
    if (isSystemSubject(subject)) return parseSystemEvent(message);
    return isDomainSubject(subject) ? parseDomainEvent(message) : parseEvent(message);
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
