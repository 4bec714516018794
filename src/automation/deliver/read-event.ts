// From a delivery to its event, as one of the triggers decodes it: at once, or once what it points to was fetched: its body, or
// what its columns are.

import type { Bus } from "../../bus/bus.ts";
import type { Delivery } from "../../bus/subscription.ts";
import { type Clock, realClock, within } from "../../clock.ts";
import { PoisonError, TransientError } from "../../errors.ts";
import type { Columns } from "../../event/column-kind.ts";
import { dataRefOf } from "../../event/data-ref.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import { sourceOfStream } from "../../event/source-id.ts";
import { versionName } from "../../schema/told-columns.ts";
import type { Automation } from "../define/automation.ts";
import type { AnyEvent, Trigger } from "../define/trigger.ts";
import type { LearningPattern } from "../pattern/learning-pattern.ts";
import type { ColumnTypes } from "./column-types.ts";
import type { SettleContext } from "./job.ts";

interface Reader extends Pick<SettleContext, "persist"> {
  readonly automation: Pick<Automation, "triggers" | "where" | "timeoutMs">;
  readonly bus: Pick<Bus, "fetchBody" | "read">;
  readonly clock: Clock;
  readonly columnTypes: Pick<ColumnTypes, "kept" | "read">;
}

/**
 * What can be made of a delivery: undefined when none of the triggers, or `where`, asks for it, a PoisonError when it is no event, a
 * TransientError while its body, or what its columns are, is not there.
 */
type Found = AnyEvent | undefined | PoisonError | TransientError;
type Soon<Result> = Result | Promise<Result>;

/** @throws TransientError when the bus went away for good; what is no error of ours */
export function readEvent(delivery: Delivery, reader: Reader): Soon<Found> {
  if (delivery.data.length > 0) return decoded(delivery, reader);
  return delivery.carried?.bodyElsewhere ? leftBehind(delivery, reader) : fetched(delivery, reader);
}

/** Its body was too large to wait with it in MILLRACE_RETRY: it is where the event stands. */
async function leftBehind(delivery: Delivery, reader: Reader): Promise<Found> {
  const { stream, sequence } = delivery;
  const source = sourceOfStream(stream);
  const found = source && (await reader.persist(() => reader.bus.read(source, sequence)));
  if (found === undefined || found.header("ce-id") !== delivery.header("ce-id")) return evicted(delivery);
  delivery.withBody?.(found.data);
  return decoded(delivery, reader);
}

async function fetched(delivery: Delivery, reader: Reader): Promise<Found> {
  const { bus, persist } = reader;
  const { subject, sequence } = delivery;
  try {
    const ref = dataRefOf(delivery);
    if (ref === undefined) return await decoded(delivery, reader);
    const data = await persist(() => bus.fetchBody(ref));
    if (data === undefined) return bodyMissing();
    const header = (name: string): string | undefined => delivery.header(name);
    return await decoded({ subject, sequence, header, headers: () => delivery.headers(), data }, reader);
  } catch (error) {
    if (error instanceof PoisonError) return error;
    throw error;
  }
}

/** By the first trigger that wants it. */
function decoded(message: StoredMessage, reader: Reader): Soon<Found> {
  try {
    const found = firstOf(reader.automation.triggers, message, reader);
    return found instanceof Promise ? found.catch(unreadable) : found;
  } catch (error) {
    return unreadable(error);
  }
}

/** Of these another attempt may find more. */
const mayCome: readonly string[] = ["EVENT_SCHEMA_MISSING", "EVENT_SCHEMA_SLOW"];

function unreadable(error: unknown): PoisonError | TransientError {
  if (error instanceof PoisonError || (error instanceof TransientError && mayCome.includes(error.code))) return error;
  throw error;
}

/** @param from the first trigger that is asked */
function firstOf(
  triggers: readonly Trigger[],
  message: StoredMessage,
  reader: Reader,
  from = 0,
): Soon<AnyEvent | undefined> {
  for (let nth = from; nth < triggers.length; nth++) {
    const found = wanted(triggers[nth] as Trigger, message, reader);
    if (found instanceof Promise) return found.then((event) => event ?? firstOf(triggers, message, reader, nth + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Undefined where the trigger, or `where`, leaves it out. */
function wanted(trigger: Trigger, message: StoredMessage, reader: Reader): Soon<AnyEvent | undefined> {
  const event = trigger.decode(message);
  if (event === undefined) return undefined;
  const fit = trigger.fit?.(event) ?? event;
  return fit instanceof Promise
    ? inTime(fit, reader).then((one) => judged(one, trigger, message, reader))
    : judged(fit, trigger, message, reader);
}

/** A schema is the user's code: one that never ends must not hold its place for ever. @throws TransientError */
async function inTime(fit: Promise<AnyEvent>, { automation: { timeoutMs }, clock }: Reader): Promise<AnyEvent> {
  const event = await within(clock, timeoutMs, fit);
  if (event !== undefined) return event;
  throw new TransientError("EVENT_SCHEMA_SLOW", `its schema has not ended within the timeout of ${timeoutMs} ms`, {
    hint: "let `validate` of the schema end: it must not wait for what may not come",
  });
}

function judged(event: AnyEvent, trigger: Trigger, message: StoredMessage, reader: Reader): Soon<AnyEvent | undefined> {
  const where = reader.automation.where?.get(trigger);
  if (trigger.asksColumns !== true && where?.asksColumns !== true) return ifFit(event, trigger, where, undefined);
  const version = versionName(message.header("ce-dataschema") ?? "");
  const { columnTypes, persist } = reader;
  const kept = version === undefined ? undefined : columnTypes.kept(version);
  if (version === undefined || kept !== undefined) return ifFit(event, trigger, where, kept);
  return persist(() => columnTypes.read(version)).then((columns) => {
    if (columns === undefined) throw schemaMissing(version);
    return ifFit(event, trigger, where, columns);
  });
}

function ifFit(
  event: AnyEvent,
  trigger: Trigger,
  where: Pick<LearningPattern, "matches"> | undefined,
  columns: Columns | undefined,
): AnyEvent | undefined {
  return trigger.match(event, columns) && (where?.matches(event, columns) ?? true) ? event : undefined;
}

function evicted({ stream, sequence }: Delivery): PoisonError {
  return new PoisonError(
    "EVENT_EVICTED",
    `${stream} dropped message ${sequence} while the event waited for its retry`,
    {
      hint: "its body was too large to wait with it: raise max_payload of nats-server, or let the source's stream keep more",
    },
  );
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

function schemaMissing(version: string): TransientError {
  return new TransientError("EVENT_SCHEMA_MISSING", `what its columns are, the version ${version}, is not on the bus`, {
    hint: 'see whether the bucket millrace_schemas was emptied; or say it in the automation: the types of `millrace types`, or columns: { total: "number" }',
  });
}

/**
 * Whether an automation would be given a message of a stream, as far as the message itself tells, and the event as its triggers
 * decode it: undefined where it is no event, or its body or columns are not at hand. Then the automation's worker decides.
 */
export async function wantedOf(
  message: StoredMessage,
  automation: Reader["automation"],
  columnTypes: Pick<ColumnTypes, "kept" | "read">,
): Promise<{ readonly wanted: boolean; readonly event: AnyEvent | undefined }> {
  if (message.data.length === 0) return { wanted: true, event: undefined };
  const persist = <Result>(operation: () => Promise<Result>): Promise<Result> => operation();
  const none = async (): Promise<undefined> => undefined;
  const bus = { fetchBody: none, read: none };
  const found = await decoded(message, { automation, columnTypes, persist, bus, clock: realClock });
  if (found instanceof PoisonError || found instanceof TransientError) return { wanted: true, event: undefined };
  return { wanted: found !== undefined, event: found };
}
