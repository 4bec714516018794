// Runs automations over given events to their end, on whichever bus: all that delivers is what a worker runs.

import type { Automation } from "../automation/define/automation.ts";
import { isGivenChange } from "../automation/define/given-row.ts";
import type { Endpoints } from "../automation/outcome/sending.ts";
import { type RunningAutomations, runAutomations } from "../automation/run/run-automations.ts";
import { TxDatabases } from "../automation/run/tx-databases.ts";
import type { Database } from "../automation/tx/transaction.ts";
import type { TxDatabase } from "../automation/tx/tx.ts";
import type { Bus } from "../bus/bus.ts";
import { ConfigError } from "../errors.ts";
import { isSourceId, type SourceId } from "../event/source-id.ts";
import type { Logger } from "../telemetry/logger.ts";
import { databaseHome } from "./database-home.ts";
import { DyingWorker } from "./dying-worker.ts";
import type { GivenEvent } from "./given-event.ts";
import { MemoryTransactions } from "./memory-transactions.ts";
import { Observed } from "./observed.ts";
import type { Pace } from "./pace.ts";
import type { HandlersClient } from "./recording-client.ts";
import { WrittenEvents } from "./written-events.ts";

/** Where domain events come from when nothing names a source. */
const SOME_SOURCE = "app" as SourceId;
/** Virtual time that a handler gets beyond its timeout, before the kit says that it never ends. */
const HANGS_MS = 3_600_000;
const DAY_MS = 86_400_000;

export interface PlayOptions {
  readonly bus: Bus;
  readonly pace: Pace;
  readonly automations: readonly Automation[];
  readonly events: readonly GivenEvent[];
  readonly db?: Database | undefined;
  readonly client?: object | undefined;
  readonly maxHops?: number | undefined;
  /** The bus of a worker before this one, which ends when it has handled all events, and before it has acked any. */
  readonly dying?: Bus | undefined;
}

/** What was seen, once each event has ended at each automation. @throws ConfigError, what an automation failed by */
export async function play(
  options: PlayOptions,
): Promise<{ readonly observed: Observed; readonly ids: readonly string[] }> {
  const { bus, pace, events, dying } = options;
  const sources = sourcesOf(options.automations, events);
  const written = new WrittenEvents(bus, pace.clock);
  const client = options.client ?? (options.db === undefined ? "recording" : undefined);
  const observed = new Observed({ pace, client: client as HandlersClient | undefined, envelopes: written.envelopes });
  const automations = options.automations.map((one) => observed.watched(one));
  const databases = await databasesOf(options, automations, sources, observed);
  const worker: WorkerOptions = {
    ...{ ...options, automations, outboxes: sources, databases },
    ...{ log: observed.log, reach: observed.reach },
  };
  const write = (): Promise<void> => paced(pace, written.write(events, sources[0] ?? SOME_SOURCE));
  await paced(pace, written.open(sources));
  try {
    if (dying !== undefined) {
      const killed = new DyingWorker(dying);
      await runWorker({ ...worker, bus: killed.bus }, write, (running) => unheardAt(running, killed, worker));
    }
    await runWorker(worker, dying === undefined ? write : undefined, (running) => settledAt(running, worker));
    return { observed, ids: written.ids };
  } finally {
    await paced(pace, written.close());
  }
}

interface WorkerOptions extends Pick<PlayOptions, "bus" | "pace" | "automations" | "maxHops"> {
  readonly outboxes: readonly SourceId[];
  readonly databases: { of(automation: Automation): TxDatabase | undefined };
  readonly log: Logger;
  readonly reach: Endpoints;
}

/** @param begun called once all automations run @param over made of what runs: whether the worker has done its part */
async function runWorker(
  { pace, maxHops, ...options }: WorkerOptions,
  begun: (() => Promise<void>) | undefined,
  over: (running: RunningAutomations) => () => Promise<boolean>,
): Promise<void> {
  const stopping = new AbortController();
  const running = runAutomations({
    ...options,
    posted: options.automations.flatMap(({ emits = [] }) => emits),
    clock: pace.clock,
    metrics: noMetrics,
    logEvents: true,
    logErrors: "message",
    schedules: "given",
    steerable: false,
    signal: stopping.signal,
    ...(maxHops !== undefined && { maxHops }),
  });
  try {
    await pace.until(() => refuseFailed(running).every(({ state }) => state === "running"));
    await begun?.();
    await pace.until(over(running));
  } finally {
    stopping.abort();
  }
  await paced(pace, running.settled);
}

/** Awaits it; time goes on meanwhile. */
async function paced<T>(pace: Pace, work: Promise<T>): Promise<T> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  work.then(settle, settle);
  await pace.until(() => settled);
  return await work;
}

/** Whether each event has ended. @throws ConfigError `TESTING_HANDLER_HANGS` */
function settledAt(running: RunningAutomations, { automations, pace }: WorkerOptions): () => Promise<boolean> {
  let since: number | undefined;
  const refuseEndless = limited(automations, pace);
  return async () => {
    const all = refuseFailed(running);
    const hangs = all.find(({ hanging, running: run }) => hanging > 0 && run === hanging);
    since = hangs && (since ?? pace.clock.now());
    if (hangs && since !== undefined && pace.clock.now() - since > HANGS_MS) throw neverEnds(hangs.id);
    if (all.some(({ held }) => held > 0)) return false;
    const { pending, inHand } = await depthOf(running, automations);
    refuseEndless(pending + inHand);
    return pending + inHand === 0;
  };
}

/** Whether the end of each event was told, and not heard. */
function unheardAt(
  running: RunningAutomations,
  killed: DyingWorker,
  { automations, pace }: WorkerOptions,
): () => Promise<boolean> {
  const refuseEndless = limited(automations, pace);
  return async () => {
    refuseFailed(running);
    const { pending, inHand } = await depthOf(running, automations);
    refuseEndless(pending + inHand - killed.unheard);
    return pending === 0 && inHand === killed.unheard;
  };
}

/** Throws, once twice the longest `maxAge` and a day have passed, while events still wait. */
function limited(automations: readonly Automation[], { clock }: Pace): (waiting: number) => void {
  const limitMs = 2 * Math.max(...automations.map(({ retry }) => retry.maxAgeMs)) + DAY_MS;
  const began = clock.now();
  return (waiting) => {
    if (clock.now() - began <= limitMs) return;
    throw new ConfigError(
      "TESTING_NEVER_ENDS",
      `after ${Math.round(limitMs / DAY_MS)} days of virtual time ${waiting} events still wait`,
      {
        hint: "give the automation a shorter retry.maxAge, or the test fewer events that wait for each other",
      },
    );
  };
}

/** What was not handed out yet, and what was and is not settled, or waits for a long retry. */
async function depthOf(
  running: RunningAutomations,
  automations: readonly Automation[],
): Promise<{ readonly pending: number; readonly inHand: number }> {
  const depths = await Promise.all(automations.map(({ id }) => running.depth(id)));
  return {
    pending: depths.reduce((sum, { pending }) => sum + pending, 0),
    inHand: depths.reduce((sum, { unacked, later }) => sum + unacked + later, 0),
  };
}

function refuseFailed(running: RunningAutomations): ReturnType<RunningAutomations["status"]> {
  const all = running.status();
  const failed = all.find(({ state }) => state === "failed");
  if (failed === undefined) return all;
  const { code, message, hint } = failed.reason ?? {};
  throw new ConfigError(
    "TESTING_AUTOMATION_FAILED",
    `${failed.id} failed, as it would in a worker: ${code}: ${message}`,
    {
      hint: hint ?? "correct what the message names: a worker would not go on with this automation",
    },
  );
}

async function databasesOf(
  { db, pace }: PlayOptions,
  automations: readonly Automation[],
  outboxes: readonly SourceId[],
  { log }: Observed,
): Promise<{ of(automation: Automation): TxDatabase | undefined }> {
  const { clock } = pace;
  if (db === undefined) {
    const { database } = new MemoryTransactions(clock);
    return { of: () => database };
  }
  const homes = [() => databaseHome(db)];
  const databases = new TxDatabases({ automations, fallback: db, homes, clock, outboxes });
  await databases.check(log);
  return databases;
}

/** All whose streams there must be: those that events or triggers name. Domain events come from the first one. */
function sourcesOf(automations: readonly Automation[], events: readonly GivenEvent[]): readonly SourceId[] {
  const given = events.flatMap((one) =>
    isGivenChange(one) ? one.source : one.given === "domain" ? (one.source ?? []) : [],
  );
  const asked = automations.flatMap(({ triggers }) =>
    triggers.flatMap((one) => one.subscriptions({ outboxes: [] }).map(({ source }) => source)),
  );
  const named = [...new Set([...given, ...asked])].filter((one) => isSourceId(one));
  return named.length === 0 ? [SOME_SOURCE] : named;
}

function neverEnds(automation: string): ConfigError {
  return new ConfigError(
    "TESTING_HANDLER_HANGS",
    `${automation}: a handler still runs an hour after its timeout, so its event never ends: a worker would wait too`,
    { hint: "give `signal` to whatever the handler waits for, or let the clock of the test answer it" },
  );
}

const nothing = (): void => {};
const noMetrics = {
  ...{ handled: nothing, skipped: nothing, filtered: nothing, retried: nothing, dead: nothing, missed: nothing },
  ...{ fired: nothing, shadow: nothing, stray: nothing, running: nothing, duration: nothing },
};
