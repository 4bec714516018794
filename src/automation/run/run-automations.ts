// Runs automations side by side: none of them delays or ends another.

import { ConfigError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { owned } from "../../telemetry/stray.ts";
import type { Automation } from "../define/automation.ts";
import type { TriggerConfig } from "../define/trigger.ts";
import type { WorkerParts } from "../deliver/automation-parts.ts";
import { LONGEST_PAUSE_MS } from "../deliver/put-off.ts";
import { Solitude } from "../deliver/solitude.ts";
import { errorFields, summarizeError } from "../outcome/error-summary.ts";
import { refuseUnsendable } from "../outcome/sending.ts";
import { AutomationRun } from "./automation-run.ts";
import { type AutomationStatus, type Depth, NOTHING } from "./automation-status.ts";
import { MISSED_LOOK_MS } from "./missed.ts";
import { Steering } from "./steering.ts";
import type { TxDatabases } from "./tx-databases.ts";

export interface RunAutomationsOptions extends WorkerParts, Partial<TriggerConfig> {
  readonly automations: readonly Automation[];
  /** Handlers that may stand between the first change and an event, before that is a cycle. Default 8. */
  readonly maxHops?: number;
  /** Where `tx` opens its transactions. */
  readonly databases?: Pick<TxDatabases, "of">;
  /**
   * Resolves when an automation may read a source's stream, or with the signal; rejects with TransientError while it may not,
   * with ConfigError for one that never may. Default: at once.
   */
  readonly admit?: (source: SourceId, signal: AbortSignal, automation: Automation) => Promise<void>;
  /** What the server waits for a sign of life before it hands an event out again. Default 30 s. */
  readonly ackWaitMs?: number;
  /** Go on, once, behind what left the stream before an automation got it. Default no. */
  readonly adopt?: boolean;
  /** For how long at most an event waits for its retry on its own stream. Default 2 min. */
  readonly longestPauseMs?: number;
  /** How often that is looked for. Default 30 s. */
  readonly missedLookMs?: number;
  /** Whether people may steer them while they run; where nobody can, it is looked for that only once. Default true. */
  readonly steerable?: boolean;
  /** Whether the clock fires schedules, or somebody else gives their events. Default `run`. */
  readonly schedules?: "run" | "given";
}

export interface RunningAutomations {
  status(): readonly AutomationStatus[];
  /** How much waits for an automation. @throws MillraceError while the bus is away */
  depth(automation: string): Promise<Depth>;
  /** Resolves when all have stopped and drained, after the signal; never rejects. Close the bus only then. */
  readonly settled: Promise<void>;
}

/** @throws ConfigError `AUTOMATION_DUPLICATE` when two share an id; that of a trigger for which one can never be called */
export function refuseUnfit(automations: readonly Automation[], config: TriggerConfig): void {
  const ids = new Set<string>();
  for (const { id } of automations) {
    if (ids.has(id)) {
      throw new ConfigError("AUTOMATION_DUPLICATE", `two automations have the id "${id}"`, {
        hint: "give one of them another id: it names the subscription, the metrics and the dead letters",
      });
    }
    ids.add(id);
  }
  for (const automation of automations) {
    for (const one of automation.triggers) one.check({ ...config, automation: automation.id });
    if (config.endpoints !== undefined) refuseUnsendable(automation, config.endpoints);
  }
}

/**
 * Starts them all; returns at once.
 * @throws ConfigError as `refuseUnfit`
 */
export function runAutomations(options: RunAutomationsOptions): RunningAutomations {
  const { automations, outboxes = [], databases, steerable = true, ...rest } = options;
  refuseUnfit(automations, { ...options, outboxes });
  const defaults = {
    admit: () => Promise.resolve(),
    ackWaitMs: 30_000,
    maxHops: 8,
    adopt: false,
    solitude: new Solitude(options.clock),
    missedLookMs: MISSED_LOOK_MS,
    longestPauseMs: LONGEST_PAUSE_MS,
    schedules: "run" as const,
  };
  const { bus, clock, log, signal } = options;
  const ids = automations.map(({ id }) => id);
  const steering = new Steering({ state: bus.state, automations: ids, clock, log, alone: !steerable, signal });
  const runs = automations.map(
    (automation) =>
      new AutomationRun({ ...defaults, ...rest, steering, outboxes, automation, database: databases?.of(automation) }),
  );
  if (automations.length > 0) void steering.watch();
  return {
    status: () => runs.map((run) => run.status()),
    depth: (id) => runs.find((run) => run.id === id)?.depth() ?? Promise.resolve(NOTHING),
    settled: Promise.all(runs.map((run) => run.settled)).then(() => undefined),
  };
}

/** Loads modules of automations; what they began, and nobody catches, is told. It is of no automation, and no reason to end them all. */
export function loadOwned<Loaded>(log: Logger, load: () => Loaded): Loaded {
  const text = "what a module began as it was loaded failed, and nobody awaits or catches it";
  return owned((thrown) => log.error("module_uncaught", errorFields(summarizeError(thrown), "name"), text), load);
}
