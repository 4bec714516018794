// Takes one event to its end: triggers, guards, handler, then ack, retry or dead letter. What is decided is stored before it is told.

import { PoisonError, TransientError, toError } from "../../errors.ts";
import type { DeadReason } from "../../event/dead-reason.ts";
import { undecodable } from "../../event/percent.ts";
import { retryId } from "../../event/source-id.ts";
import type { AnyEvent } from "../define/trigger.ts";
import { type ErrorSummary, errorFields, summarizeError, wholeError } from "../outcome/error-summary.ts";
import { isUnavailable, lostInWork } from "../outcome/unavailable.ts";
import { end, type Running, type Started, saidOf, start } from "./at-once.ts";
import type { AttemptResult } from "./attempt.ts";
import { type Attempts, AttemptsRecord, carriedAttempts } from "./attempts.ts";
import { conclude, endHandled, passOver } from "./conclude.ts";
import { storeDeadLetter } from "./dead-letter.ts";
import { abandon, free, giveBack, isOurs, type Job, type Said, type SettleContext } from "./job.ts";
import { received, settled } from "./lifecycle.ts";
import { putOff } from "./put-off.ts";
import { readEvent } from "./read-event.ts";
import { isUseless } from "./retryable.ts";
import {
  afterFailure,
  agesFrom,
  awayDelayMs,
  bornAt,
  crashed,
  cycleIn,
  deadBefore,
  expired,
  isSuspect,
} from "./verdict.ts";

/**
 * Resolves when the event is settled, as far as this delivery goes: to true where all that is left is to tell `job.said` and to ack it.
 * @param started how far it has come already @throws MillraceError
 */
export async function settle(job: Job, context: SettleContext, started?: Started): Promise<boolean> {
  const { automation, bus, persist } = context;
  const { delivery, source, said } = job;
  if (said !== undefined) {
    context.release(job);
    await endHandled(job, context, said);
    return false;
  }
  // Whatever something else stored in MILLRACE_RETRY.
  const found =
    source === retryId
      ? undecodable("it is in MILLRACE_RETRY and does not say where it stands")
      : (started?.found ?? readEvent(delivery, context));
  const event = found instanceof Promise ? await found : found;
  if (event instanceof PoisonError) {
    const { attempts = 0, firstAt = null } = delivery.carried ?? {};
    await deadLetter(job, context, { reason: "undecodable", attempts, firstAt, error: summarizeError(event) });
    return false;
  }
  const id = event === undefined || event instanceof TransientError ? (delivery.header("ce-id") ?? "") : event.id;
  const record = new AttemptsRecord(bus.state, automation.id, delivery, id);
  const close = async (over: boolean | "ended"): Promise<boolean> => {
    if (over === true && record.stored) await persist(() => record.clear());
    return over === "ended";
  };
  if (started?.running !== undefined && event !== undefined) {
    return close(await attempt(job, context, { id, event, running: started.running }, undefined, record));
  }
  // The first time nothing can have been stored: no cost where all goes well.
  const noted = delivery.again || (delivery.carried?.attempts ?? 0) > 0 || context.onRecord(delivery);
  const stored = (typeof noted === "boolean" ? noted : await noted) ? await persist(() => record.load()) : undefined;
  const known = stored ?? carriedAttempts(delivery, id);
  // Kept in hand until its next attempt is due, by whoever has it now.
  const earlyMs = known?.dueAt === undefined ? 0 : known.dueAt - context.clock.wall();
  if (earlyMs > 0) {
    giveBack(job, earlyMs);
    return false;
  }
  // One that nobody asks for is filtered, however old it is.
  const born = event === undefined ? undefined : bornAt(automation.retry, delivery);
  const dead = deadBefore(automation.retry, known, context.clock.wall(), born);
  let over: boolean | "ended";
  if (known?.later !== undefined) {
    // Decided before, and perhaps stored: it must not begin here.
    over = await putOff(job, context, record, known);
  } else if (dead) {
    if (known !== undefined && known.deadAt === undefined)
      await persist(() => record.save({ ...known, dead, deadAt: context.clock.wall() }));
    over = await deadLetter(job, context, {
      reason: dead,
      since: known?.deadAt,
      attempts: (known?.attempts ?? 0) + (dead === "crashed" ? (known?.unexplained ?? 0) : 0),
      firstAt: known?.firstAt ?? null,
      error: dead === "crashed" ? crashed : (known?.lastError ?? expired),
    });
  } else if (event === undefined) {
    over = await passOver(job, context);
  } else {
    const cycle = cycleIn(delivery, automation, context.maxHops);
    over = cycle
      ? await deadLetter(job, context, { reason: "cycle", attempts: 0, firstAt: null, error: cycle })
      : await attempt(job, context, { id, event }, known, record);
  }
  return close(over);
}

/**
 * One attempt and what follows from it; whether the event is settled for good, `ended` where all that is left is to tell `job.said` and to
 * ack it. An event without its body is a failed one.
 */
async function attempt(
  job: Job,
  context: SettleContext,
  {
    id,
    event,
    running,
  }: {
    readonly id: string;
    readonly event: AnyEvent | TransientError;
    readonly running?: Running;
  },
  known: Attempts | undefined,
  record: AttemptsRecord,
): Promise<boolean | "ended"> {
  const { clock } = context;
  const attempts = (known?.attempts ?? 0) + 1;
  // A start that was only noted, and ended with its process, does not age it; nor does what is waited for before the first one.
  const before = {
    id,
    attempts: attempts - 1,
    firstAt: known?.lastError === undefined ? undefined : known.firstAt,
    known,
  };
  let begun = running;
  const attemptOnce = async (so: Attempts | undefined): Promise<AttemptResult | undefined> => {
    if (begun === undefined && !(await mayStart(job, context, so, record))) return undefined;
    const firstAt = begun?.firstAt ?? clock.wall();
    before.firstAt ??= firstAt;
    const startedAt = begun?.startedAt ?? clock.now();
    const failure = event instanceof TransientError ? ({ type: "failed", error: event } as const) : undefined;
    if (failure !== undefined) received(context, job, attempts);
    const result = failure ?? begun?.result ?? start(job, context, event as AnyEvent, attempts, startedAt);
    begun = undefined;
    const ended = await result;
    end(job, context, startedAt);
    return ended;
  };
  const result = await whileAway(job, context, record, before, attemptOnce);
  if (result === undefined) return false;
  const { firstAt = clock.wall() } = before;
  if (result.type === "failed") {
    const counted = "tooOld" in result ? attempts - 1 : attempts;
    return failed(job, context, record, { ...result, attempts: counted, firstAt, id });
  }
  free(job, context);
  job.said = saidOf(result, attempts);
  if (!record.stored && job.lastTold === undefined) return "ended";
  context.handled(job, job.said);
  return endHandled(job, context, job.said);
}

/**
 * Whether its handler may start: then it has its place beside the others, or alone where it may have ended the process
 * before. Of an event that comes again the start is noted first, so that such an end is not forgotten.
 */
async function mayStart(
  job: Job,
  context: SettleContext,
  known: Attempts | undefined,
  record: AttemptsRecord,
): Promise<boolean> {
  const { solitude, clock, persist, fresh } = context;
  const { delivery, stint } = job;
  const { signal } = stint;
  const turn = solitude.enter(isSuspect(known));
  if (turn !== undefined) {
    job.settlingSince = undefined; // it waits for other handlers, not for the bus
    await turn;
  }
  try {
    if (!signal.aborted && delivery.free && delivery.again) {
      const { attempts = 0, firstAt = clock.wall(), unexplained = 0, dueAt: _, ...rest } = known ?? {};
      await persist(() => record.save({ ...rest, attempts, firstAt, unexplained: unexplained + 1 }));
      if ((signal.aborted || !delivery.free) && delivery.ours)
        await persist(() => (known ? record.save(known) : record.clear()));
    }
    // It may have waited for its turn, or for the bus, until it was too old: then it is so when it comes again, at once.
    const dead = deadBefore(context.automation.retry, known, clock.wall(), bornAt(context.automation.retry, delivery));
    if (!signal.aborted && delivery.free && dead === undefined && fresh(clock.now())) return true;
  } catch (error) {
    solitude.leave();
    throw error;
  }
  solitude.leave();
  giveBack(job, 0);
  return false;
}

interface Failure extends Failed {
  readonly tooOld?: true;
  readonly attempts: number;
  readonly firstAt: number;
  /** The event's id. */
  readonly id: string;
}

/** What follows a failed attempt; whether the event is settled for good. */
async function failed(
  job: Job,
  context: SettleContext,
  record: AttemptsRecord,
  { attempts, firstAt, id, hanging, tooOld, ...result }: Failure,
): Promise<boolean> {
  const { automation, clock, log, logErrors } = context;
  if (hanging) context.entered(job, "hanging");
  else free(job, context);
  const next = tooOld
    ? ({ dead: "expired" } as const)
    : isUseless(context, result.error)
      ? ({ dead: "fatal" } as const)
      : afterFailure(
          automation.retry,
          attempts,
          agesFrom(automation.retry, job.delivery, firstAt),
          result.error,
          clock.wall(),
        );
  const error = summarizeError(result.error);
  const { dead } = next;
  const ended = hanging?.then(() => free(job, context));
  if (!(await isOurs(job, context))) return false;
  // Killed in between, the attempt is made and told once more: what was told twice can be seen, what was not told cannot.
  if (!dead) await context.tell(job, "retried", { attempt: attempts, error, delayMs: next.delayMs });
  if (job.stint.replaced && !dead) {
    // A seek has taken its place: nobody asks for what is remembered of it.
    await ended;
    abandon(job);
    return false;
  }
  // In order, the head of its key stays in hand, however long: when it is due is remembered for whoever has it then.
  const inHand = automation.order === "key";
  const dueAt = dead ? undefined : Math.round(clock.wall() + next.delayMs);
  const later = inHand || dead || next.delayMs <= context.longestPauseMs ? undefined : dueAt;
  const due = { ...(later && { later }), ...(inHand && dueAt && { dueAt }) };
  const known = { attempts, firstAt, lastError: error, ...due, ...(dead ? { dead, deadAt: clock.wall() } : {}) };
  await context.persist(() => record.save(known));
  // A handler that ignores its timeout is waited for: the event must not be handled twice at once.
  await ended;
  if (dead) return deadLetter(job, context, { reason: dead, attempts, firstAt, error, thrown: result.error });
  if (later === undefined) giveBack(job, next.delayMs);
  const moved = later !== undefined && (await putOff(job, context, record, { ...known, id }));
  settled(context, job, "retried");
  log.warn(
    "automation_retrying",
    {
      automation: automation.id,
      id,
      attempt: attempts,
      ...errorFields(error, logErrors),
      delayMs: Math.round(next.delayMs),
    },
    logErrors === "whole" ? wholeError(result.error) : undefined,
  );
  return moved;
}

/** Of what a person may decide otherwise: the event can be tried anew. */
const blocking: readonly DeadReason[] = ["exhausted", "expired", "fatal", "crashed"];

interface DeadLetterReason {
  readonly reason: DeadReason;
  readonly attempts: number;
  readonly firstAt: number | null;
  readonly error: ErrorSummary;
  /** What the handler threw; undefined where none was started. */
  readonly thrown?: unknown;
  /** Where the letter may be stored already: since when, ms since 1970. */
  readonly since?: number | undefined;
}

/** Stores the dead letter, and only then tells the server never to hand the event out again; whether it was for us to do so. */
async function deadLetter(job: Job, context: SettleContext, burial: DeadLetterReason): Promise<boolean> {
  const { automation, log, logErrors } = context;
  const { reason, attempts, error } = burial;
  context.release(job);
  if (automation.shadow) return endInShadow(job, context, burial);
  if (blocking.includes(reason) && context.block?.(job, burial)) return false;
  const { run } = job.delivery;
  const began = context.clock.wall();
  let { since } = burial;
  const letter = {
    reason,
    automation: automation.id,
    ...(run !== undefined && { run }),
    attempts,
    firstAt: burial.firstAt === null ? null : new Date(burial.firstAt).toISOString(),
    error,
  };
  const over = await conclude(
    job,
    context,
    async () => {
      await context.persist(() => storeDeadLetter(context.bus, job.source, job.delivery, letter, since));
      since ??= began;
      const interruptions = context.bus.interruptions();
      await context.tell(job, "dead", { attempt: attempts, reason, error, since: burial.since });
      context.buried(job);
      return interruptions;
    },
    () => job.delivery.terminate(reason),
  );
  if (!over) return false;
  settled(context, job, reason);
  context.died(job, reason, error);
  const { source, delivery } = job;
  log.error(
    "automation_dead_letter",
    {
      automation: automation.id,
      reason,
      source,
      sequence: delivery.sequence,
      attempts,
      ...errorFields(error, logErrors),
    },
    logErrors === "whole" && "thrown" in burial ? wholeError(burial.thrown) : undefined,
  );
  return true;
}

/**
 * In shadow nobody is to be woken, and no key stands still: that it would have been a dead letter is on record, and the event
 * remains in its stream, to be replayed once the automation is live.
 */
async function endInShadow(
  job: Job,
  context: SettleContext,
  { reason, attempts, error }: DeadLetterReason,
): Promise<boolean> {
  const said: Said = {
    outcome: "shadow",
    told: { attempt: attempts, reason, error, wouldBe: { would: "dead", effects: [] } },
  };
  context.handled(job, said);
  const over = await endHandled(job, context, said);
  const { automation, log, logErrors } = context;
  const about = { automation: automation.id, reason, source: job.source, sequence: job.delivery.sequence, attempts };
  if (over) log.warn("automation_shadow_failed", { ...about, ...errorFields(error, logErrors) });
  return over;
}

/** How often the work may lose its connection before that counts as an attempt: it may be the work's own doing. */
const spareLosses = 3;

export type Failed = Extract<AttemptResult, { type: "failed" }>;

/** Beyond `maxAge` though what it needs is still away. */
interface TooOld extends Failed {
  readonly tooOld: true;
}

/**
 * Tries again, with the event in hand, for as long as something is away: that spends no attempt. Resolves to the first other
 * result, to the last one when the event has grown too old, to undefined when it was given back at the signal.
 * @param so how the event stands before it; its first start is noted there
 */
async function whileAway(
  job: Job,
  context: SettleContext,
  record: AttemptsRecord,
  so: Pick<Attempts, "id" | "attempts"> & {
    readonly firstAt: number | undefined;
    readonly known: Attempts | undefined;
  },
  attemptOnce: (known: Attempts | undefined) => Promise<AttemptResult | undefined>,
): Promise<AttemptResult | TooOld | undefined> {
  let losses = 0;
  let standing = so.known;
  for (let tries = 1; ; tries++) {
    const result = await attemptOnce(standing);
    if (result === undefined) return undefined;
    if (result.type === "failed" && lostInWork(result.error)) losses++;
    if (result.type !== "failed" || !isUnavailable(result.error) || losses > spareLosses) {
      job.away = undefined;
      return result;
    }
    const { error, hanging } = result;
    if (hanging) {
      context.entered(job, "hanging");
      await hanging;
    }
    const { id, attempts, firstAt = context.clock.wall() } = so;
    const { retry } = context.automation;
    const from = agesFrom(retry, job.delivery, firstAt);
    const delayMs = awayDelayMs(retry, tries, from, error, context.clock.wall());
    if (delayMs === undefined) return { type: "failed", error, tooOld: true };
    // So that its age counts across a restart, and a start that was noted is no end of the process.
    const left: Attempts = { id, attempts, firstAt, lastError: summarizeError(error) };
    if ((!record.stored || job.delivery.again) && (await isOurs(job, context)))
      await context.persist(() => record.save(left));
    standing = left;
    await context.wait(job, toError(error), delayMs);
    const ours = await isOurs(job, context);
    if (!ours || job.stint.signal.aborted) {
      free(job, context);
      if (ours) giveBack(job, 0);
      return undefined;
    }
  }
}
