// given(events).when(automation): the test kit's one sentence.

import type { Automation } from "../automation/define/automation.ts";
import type { DeadLetter } from "../automation/deliver/dead-letter.ts";
import { type DurationInput, durationMs } from "../automation/outcome/duration-ms.ts";
import { refuseUnknown } from "../automation/outcome/invalid.ts";
import type { Database } from "../automation/tx/transaction.ts";
import { MemoryBus } from "../bus/memory/memory-bus.ts";
import { MemoryServer } from "../bus/memory/memory-server.ts";
import { refuseUnfitList } from "../config/made-by.ts";
import { ConfigError } from "../errors.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { type GivenEvent, refuseOthers } from "./given-event.ts";
import { VirtualPace } from "./pace.ts";
import { play } from "./play.ts";
import type { Result } from "./result.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** What a test says beside its events. */
export interface GivenOptions {
  /**
   * A database of the test's own, with `millrace.inbox`: `tx` opens real transactions on it, whatever `db` the automation has.
   * Without one nothing of `tx` reaches a database.
   */
  readonly db?: Database;
  /** What the work of a `tx` is given as its client. Without it, and without `db`, one that notes statements and answers no rows. */
  readonly client?: object;
  /** Time as the test moves it, for handlers that wait by it too. Default: a clock of its own that begins with 2026. */
  readonly clock?: VirtualClock;
  /** Real time that a handler gets which waits for something else than the clock, before its time goes on. Default `200ms`. */
  readonly patience?: DurationInput;
  /**
   * `true`: the worker ends once it has handled all events, and before the bus hears of it, so that all of them come again to the
   * next one. What a test proves by it: an event that is delivered twice has one effect. Default `false`.
   */
  readonly crash?: boolean;
  /** As in `defaults.maxHops` of the configuration. Default 8. */
  readonly maxHops?: number;
}

const OPTIONS: Readonly<Record<keyof GivenOptions, true>> = {
  ...{ db: true, client: true, clock: true, patience: true, crash: true, maxHops: true },
};

/** What is given; `when` runs it. */
export interface Given {
  /**
   * Delivers each event to each automation, retries, timeouts and dead letters included, until all have ended. Rejects where a
   * worker would not run the automation, with the error that it would fail by, and where a handler never ends.
   */
  when(...automations: readonly [Automation, ...Automation[]]): Promise<Result>;
}

/**
 * The beginning of a test: `await given([orders.row({ id: 1 }).created()]).when(receipt)`. In memory and in virtual time; what
 * delivers is what a worker runs.
 * @throws ConfigError `TESTING_EVENT`, `TESTING_OPTIONS`
 */
export function given(events: readonly GivenEvent[], options: GivenOptions = {}): Given {
  refuseUnknown(options, OPTIONS, "given: ");
  refuseOthers(events);
  if (options.db !== undefined && options.client !== undefined) {
    throw new ConfigError("TESTING_OPTIONS", "given has both a db and a client", {
      hint: "with a db the client is that of its transaction; leave one of them out",
    });
  }
  const patienceMs = durationMs(options.patience ?? "200ms", "given: patience");
  return { when: (...automations) => run(events, options, patienceMs, automations) };
}

/** Nobody else wants the leases: time need not stop each second to renew them. */
const LEASE_MS = 90_000;
const BEGINS = Date.UTC(2026, 0, 1);

async function run(
  events: readonly GivenEvent[],
  { db, client, maxHops, crash = false, clock = new VirtualClock(BEGINS) }: GivenOptions,
  patienceMs: number,
  automations: readonly Automation[],
): Promise<Result> {
  refuseUnfitList(automations, "when: automations");
  const ordered = automations.find(({ order }) => order === "key");
  if (crash && ordered !== undefined) {
    throw new ConfigError(
      "TESTING_CRASH_ORDERED",
      `${ordered.id} keeps the order of keys, and the kit cannot end its worker behind all of its events`,
      {
        hint: "leave crash out for it, or test what its handler does twice with an automation of the same handler and no order",
      },
    );
  }
  const pace = new VirtualPace(clock, patienceMs);
  const server = new MemoryServer(pace.clock);
  const open = (): MemoryBus =>
    new MemoryBus({ server, clock: pace.clock, fsync: "always", log: silentLogger, timing: { leaseTtlMs: LEASE_MS } });
  await using bus = open();
  await using dying = crash ? open() : undefined;
  const { observed, ids } = await play({ bus, dying, pace, automations, events, db, client, maxHops });
  const letters = server.streams.get("MILLRACE_DEAD")?.messages ?? [];
  return {
    outcomes: observed.outcomes(automations, ids),
    emitted: observed.emitted,
    sent: observed.sent,
    deadLetters: letters.map(({ data }) => JSON.parse(Buffer.from(data).toString()) as DeadLetter),
    logs: observed.logs,
    errors: observed.errors,
    statements: observed.statements,
    passedMs: observed.passedMs,
  };
}
