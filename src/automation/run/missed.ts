// What an automation does about events that left the stream before it got them: they are never passed over in silence.

import type { Bus } from "../../bus/bus.ts";
import type { StreamGap, Subscription } from "../../bus/subscription.ts";
import type { Clock } from "../../clock.ts";
import { HistoryLostError, type MillraceError } from "../../errors.ts";
import { OBEY_MS } from "../../event/control.ts";
import { type SourceId, streamName } from "../../event/source-id.ts";
import { missedEvent } from "../../event/system-event.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { isDenied, mayPass } from "../outcome/unavailable.ts";

/**
 * Often enough that a stream whose retention is hours or days drops nothing between two looks, and that a durable that is
 * deleted and made again begins close to where it stood: what is settled is put on record at each look.
 */
export const MISSED_LOOK_MS = 10_000;

export interface MissedContext {
  readonly automation: string;
  /** The durable's name. */
  readonly durable: string;
  readonly source: SourceId;
  readonly bus: Pick<Bus, "publish" | "forgetOlder">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Forgets what is over. @param through all up to here is settled @throws TransientError */
  readonly sweep: (through: number) => Promise<void>;
  /** The bus refuses a look, or does so no more. */
  readonly denied: (error: MillraceError | undefined) => void;
  /** Called when it went on behind a gap. */
  readonly onMissed: (gap: StreamGap) => void;
}

/**
 * Looks once. First the gap is told, then it is accepted: killed in between, it is told again, by the same id.
 * @param goOn whether to go on behind it
 * @throws HistoryLostError AUTOMATION_GAP; TransientError while the bus is away
 */
export async function lookForMissed(
  context: Omit<MissedContext, "sweep">,
  subscription: Subscription,
  goOn: boolean,
): Promise<void> {
  const gap = await subscription.missed();
  if (gap === undefined) return;
  const { automation, source, log, onMissed } = context;
  const { first, last, removed } = gap;
  const what =
    removed === undefined
      ? `${streamName(source)} dropped the messages ${first} to ${last}`
      : `${removed} of the messages ${first} to ${last} were taken out of ${streamName(source)}`;
  const message = `${what}, and ${automation} may not have settled its events among them`;
  log.error("automation_gap", { automation, source, first, last, goOn }, message);
  if (!goOn) {
    throw new HistoryLostError("AUTOMATION_GAP", message, {
      hint: 'see to what they would have done, then start once with --adopt, or give the automation onGap: "continue"; so that it does not come again: more retention, more concurrency, or another worker, and no limit per subject',
    });
  }
  await publishGap(context, gap, message);
  await subscription.accept(gap);
  onMissed(gap);
}

function publishGap(
  { automation, source, bus }: Pick<MissedContext, "automation" | "source" | "bus">,
  { first, last }: StreamGap,
  reason: string,
): Promise<void> {
  const [after, upTo] = [String(first - 1), String(last)];
  return bus.publish(missedEvent({ source, automation, code: "AUTOMATION_GAP", reason, after, upTo }));
}

/**
 * An event that was put aside is not in the stream any more when it is its turn: on record before its key goes on, as its
 * place in the stream is behind a look that has found nothing missed. @throws TransientError while the bus is away
 */
export async function tellGone(context: Omit<MissedContext, "sweep">, gap: StreamGap): Promise<void> {
  const { automation, source, log, onMissed } = context;
  const message = `the message ${gap.first} of ${streamName(source)} is gone, or another one, and ${automation} had put it aside behind others of its key`;
  log.error("automation_gap", { automation, source, first: gap.first, last: gap.last, goOn: true }, message);
  await publishGap(context, gap, message);
  onMissed(gap);
}

/** Looks regularly until the signal, sweeps up, and says what holds the automation up. @throws HistoryLostError AUTOMATION_GAP */
export async function watchMissed(
  context: MissedContext,
  subscription: Subscription,
  { goOn, everyMs, signal }: { readonly goOn: boolean; readonly everyMs: number; readonly signal: AbortSignal },
): Promise<void> {
  let said: string | undefined;
  // By now all workers have left those, unless the command that sought was quicker.
  let older = context.durable !== context.automation;
  const leftMs = context.clock.now() + 2 * OBEY_MS;
  for (;;) {
    await context.clock.sleep(everyMs, signal);
    if (signal.aborted) return;
    try {
      await lookForMissed(context, subscription, goOn);
      const { automation, source, log } = context;
      const { code, message } = subscription.obstacle() ?? {};
      if (code !== said && code !== undefined) log.warn("automation_held_up", { automation, source, code }, message);
      said = code;
      await context.sweep(subscription.settledThrough());
      context.denied(undefined);
      if (!older || context.clock.now() < leftMs) continue;
      await context.bus.forgetOlder(source, context.durable);
      older = false;
    } catch (error) {
      if (!mayPass(error)) throw error;
      if (isDenied(error)) context.denied(error);
    }
  }
}
