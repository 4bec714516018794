// The end of an event's delivery: what became of it is told first, then the bus hears that it is over. What was told before a
// break of the connection may be lost with what the bus forgot, so it is seen to stand, or told again, before the end.

import { TransientError } from "../../errors.ts";
import { giveBack, isOurs, type Job, type Said, type SettleContext } from "./job.ts";
import { settled, settledSo } from "./lifecycle.ts";

/**
 * Tells, then ends it; whether it was for us to do so.
 *
 * Before `end`, all that `tell` stores is acknowledged by the bus over a connection that has not broken since: killed before
 * that, the event comes again and is told again; killed behind it, the same, or the bus has heard of the end.
 * @param tell stores what there is to say, and resolves to the interruptions of the bus by when the first of it was; what it
 * stores twice counts once
 * @param toldBefore whether the connection may have broken since it was told
 * @throws MillraceError
 */
export async function conclude(
  job: Job,
  context: SettleContext,
  tell: () => Promise<number>,
  end: () => Promise<void>,
  toldBefore = false,
): Promise<boolean> {
  const { bus, persist } = context;
  for (let again = toldBefore; ; again = true) {
    if (!(await isOurs(job, context))) return false;
    // A server that was set back may have given the number to another event: nothing may be said of that one.
    if (again && !(await persist(() => job.delivery.stands()))) {
      giveBack(job, 0);
      return false;
    }
    if ((await tell()) !== bus.interruptions()) continue;
    try {
      await end();
      return true;
    } catch (error) {
      if (!(error instanceof TransientError) || error.code !== "BUS_ACK_INTERRUPTED") throw error;
    }
  }
}

/** No trigger asks for it, so no handler is started; whether it was for us to say so. Asked again, the triggers say the same. */
export async function passOver(job: Job, context: SettleContext): Promise<boolean> {
  context.release(job);
  const over = await conclude(
    job,
    context,
    () => context.tell(job, "filtered", { attempt: 0 }),
    () => job.delivery.ack(),
  );
  if (over) settled(context, job, "filtered");
  return over;
}

/** Its handler has done its work, and all that is left is to say so: now, or when it came again because the bus did not hear of it. */
export async function endHandled(job: Job, context: SettleContext, said: Said, toldBefore = false): Promise<boolean> {
  const over = await conclude(
    job,
    context,
    async () => {
      const interruptions = await context.tell(job, said.outcome, said.told);
      context.told(job);
      return interruptions;
    },
    () => job.delivery.ack(),
    toldBefore,
  );
  if (over) settledSo(context, job, said);
  return over;
}
