// A retry that is too far off to be held on the event's own stream: the event goes on in MILLRACE_RETRY, with what is known of it.

import { PoisonError } from "../../errors.ts";
import { type Attempts, AttemptsRecord } from "./attempts.ts";
import { conclude } from "./conclude.ts";
import { giveBack, type Job, type SettleContext } from "./job.ts";

/** For how long at most an event waits where it is: its durable holds a place for it meanwhile. */
export const LONGEST_PAUSE_MS = 120_000;

/**
 * Stores the event in MILLRACE_RETRY, and only then acks it where it came from; whether that was for us to do. `later` of what is
 * known of it is on record before:
 *   before the PubAck, the event is unsettled here and waits nowhere else: killed, it comes again and is stored then;
 *   behind it, it is unsettled here and waits there: killed, it comes again, is stored under the same name, so once, and acked;
 *   behind the ack, it waits there alone.
 */
export async function putOff(
  job: Job,
  context: SettleContext,
  record: AttemptsRecord,
  { id, attempts, firstAt, lastError, later = 0 }: Attempts,
): Promise<boolean> {
  const { automation, bus, clock, persist } = context;
  const { delivery } = job;
  context.release(job);
  const { stream, sequence, subject, run, data } = delivery;
  const event = { automation: automation.id, stream, sequence, subject, headers: delivery.headers(), data, run };
  let stored = false;
  const store = async (): Promise<number> => {
    const interruptions = bus.interruptions();
    const earlier = await persist(() => bus.later({ ...event, attempts, firstAt, lastError, dueAt: later }));
    if (earlier !== undefined && !stored) await waitAsLong(earlier);
    if (stored) {
      // That it is tried again was told before, and may be lost with what was stored.
      const delayMs = Math.max(0, later - clock.wall());
      await context.tell(job, "retried", { attempt: attempts, delayMs, ...(lastError && { error: lastError }) });
    }
    stored = true;
    context.buried(job);
    return interruptions;
  };
  // What stands there may be of the same attempt, made before the bus forgot that the event had gone on: it is due too early.
  const waitAsLong = async (at: number): Promise<void> => {
    const carried = { attempts, firstAt, lastError, dueAt: later, at, bodyElsewhere: false };
    const waiting = new AttemptsRecord(bus.state, automation.id, { stream, sequence, run, carried }, id);
    await persist(() => waiting.save({ attempts, firstAt, ...(lastError && { lastError }), dueAt: later }));
  };
  try {
    return await conclude(job, context, store, () => delivery.ack());
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error;
    // Its headers leave no room for what is to be said of it: its own durable has to hold it.
    await persist(() => record.save({ attempts, firstAt, ...(lastError && { lastError }) }));
    giveBack(job, Math.max(0, later - clock.wall()));
    return false;
  }
}
