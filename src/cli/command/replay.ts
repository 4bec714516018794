// `millrace replay`: events of the past once more, to one automation alone.

import { randomUUID } from "node:crypto";
import type { Automation } from "../../automation/define/automation.ts";
import type { TriggerConfig } from "../../automation/define/trigger.ts";
import { ColumnTypes } from "../../automation/deliver/column-types.ts";
import { wantedOf } from "../../automation/deliver/read-event.ts";
import { type CompiledPattern, compile, matches } from "../../automation/pattern/compile-pattern.ts";
import {
  openEventReplay,
  type RangeEnd,
  type ReplayedStream,
  type StreamReplay,
} from "../../bus/jetstream/commands/replay-events.ts";
import { resolveConfig } from "../../config/resolve.ts";
import { connectors, triggerConfigOf } from "../../connectors.ts";
import { ConfigError } from "../../errors.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import { streamName } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";
import { namedAutomation } from "../common/named-automation.ts";
import { showReplayProgress } from "../common/replay-progress.ts";
import { parseJson } from "../common/stored-events.ts";
import { printable } from "../common/terminal.ts";

export interface ReplayOptions extends CommandOptions {
  readonly automation: string;
  /** A time or a sequence; undefined means all. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** A pattern as JSON. */
  readonly where?: string | undefined;
  /** Goes on with one that was interrupted. */
  readonly run?: string | undefined;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly log: Logger;
}

/** @throws ConfigError AUTOMATION_UNKNOWN, REPLAY_RANGE, REPLAY_RUN, PATTERN_INVALID; TransientError */
export async function replay({ config, signal, print, log, ...options }: ReplayOptions): Promise<void> {
  const { from, to, where, dryRun: dry, json } = options;
  const file = await readConfig(config, true);
  const { automations = [] } = file as { readonly automations?: readonly Automation[] };
  const automation = namedAutomation(automations, options.automation);
  const resolved = resolveConfig(file, connectors);
  const streams = streamsOf(automation, triggerConfigOf(resolved));
  const range = { from: rangeEnd(from, streams), to: rangeEnd(to, streams) };
  const pattern = where === undefined ? undefined : compile(parseJson(where, "--where"), {}, "--where");
  const run = runNamed(options.run);
  const { access, replicas } = resolved.bus;
  await using replaying = await openEventReplay({ ...access.reveal(), replicas, signal });
  const progress = showReplayProgress(log);
  const wanted = wantedBy(automation, pattern, new ColumnTypes({ schemas: replaying.schemas }));
  let done: readonly StreamReplay[];
  try {
    if (!dry) log.info("replay_begun", { automation: automation.id, run });
    done = await replaying.replay({
      ...range,
      ...{ automation: automation.id, streams, run, dry, wanted, onProgress: progress.show },
      begun: options.run !== undefined,
    });
  } catch (error) {
    if (!dry && !(error instanceof ConfigError))
      log.warn("replay_interrupted", { automation: automation.id, run }, `it goes on with --run ${run}`);
    throw error;
  } finally {
    progress.end();
  }
  const matched = done.reduce((sum, one) => sum + one.matched, 0);
  if (json) return print(JSON.stringify({ automation: automation.id, run, dryRun: dry, matched, streams: done }));
  await print(
    dry
      ? `${matched} events would be handed out once more`
      : `${matched} events handed out once more, in the run ${run}`,
  );
  for (const line of done.flatMap(streamLines)) await print(printable(line));
}

function streamLines({ stream, from, to, matched, first, last, sample, left }: StreamReplay): readonly string[] {
  return [
    `  ${stream} #${from} to #${to}: ${matched}`,
    ...(left === null ? [] : [`    ${left}`]),
    ...(first === null ? [] : [`    the first #${first.sequence} at ${first.at}`]),
    ...(last === null ? [] : [`    the last  #${last.sequence} at ${last.at}`]),
    ...sample.map(({ sequence, subject, id }) => `    #${sequence} ${subject} ${id ?? "-"}`),
  ];
}

function wantedBy(
  automation: Automation,
  pattern: CompiledPattern | undefined,
  columns: ColumnTypes,
): (message: StoredMessage) => Promise<boolean> {
  return async (message) => {
    const { wanted, event } = await wantedOf(message, automation, columns);
    return wanted && (pattern === undefined || (event !== undefined && matches(pattern, event)));
  };
}

/** The streams that it listens to, and by which subjects. */
function streamsOf({ triggers }: Automation, config: TriggerConfig): readonly ReplayedStream[] {
  const filters = new Map<string, Set<string>>();
  for (const { source, filter } of triggers.flatMap((trigger) => trigger.subscriptions(config))) {
    const stream = streamName(source);
    filters.set(stream, (filters.get(stream) ?? new Set()).add(filter));
  }
  return [...filters].map(([stream, found]) => ({ stream, filters: [...found] }));
}

/** @throws ConfigError REPLAY_RANGE */
function rangeEnd(text: string | undefined, streams: readonly ReplayedStream[]): RangeEnd | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d*$/.test(text)) {
    if (streams.length === 1) return Number(text);
    throw new ConfigError("REPLAY_RANGE", `it listens to ${streams.length} streams, and #${text} is of one`, {
      hint: "write a time",
    });
  }
  const time = new Date(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(time.getTime())) return time;
  throw new ConfigError("REPLAY_RANGE", `${text} is neither a time nor a sequence`, {
    hint: "write a time like 2026-01-31T12:00:00Z, or the sequence of a message",
  });
}

/** @throws ConfigError REPLAY_RUN */
function runNamed(run: string | undefined): string {
  if (run === undefined) return `replay-${randomUUID().slice(0, 13)}`;
  if (/^replay-[a-z0-9-]{1,50}$/.test(run)) return run;
  throw new ConfigError("REPLAY_RUN", `${run} is no run of millrace replay`, {
    hint: "write the one that the interrupted command has named, or leave --run out",
  });
}
