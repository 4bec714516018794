// What the logs of sources without slots hold, or are about to lose: measured as the guard of a worker does, from what the bus has of
// each source, whether a worker runs or not.

import { readSavedMemory, readStoredPositions } from "../../bus/jetstream/commands/on-record.ts";
import type { ResolvedConfig } from "../../config/resolve.ts";
import { connectors } from "../../connectors.ts";
import { toError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Connector } from "../../source/connector.ts";
import { isBeyond, type RetentionProbe } from "../../source/retention.ts";
import { alarmLines, type Paint, printable, wrap } from "./terminal.ts";

/** One source, as `--json` has it. */
export interface SourceLog {
  readonly source: SourceId;
  readonly kind: string;
  /** In words; null where nothing was read from it yet. */
  readonly summary: string | null;
  /** By the measures' names; those that cannot be had now are not there. */
  readonly measures: Readonly<Record<string, number>>;
  /** What is beyond a limit of the guard. */
  readonly exceeded: readonly string[];
}

/** A source whose database or whose bus did not answer. */
export interface UnansweredLog {
  readonly source: SourceId;
  readonly error: Error;
}

export interface SourceLogs extends AsyncDisposable {
  look(): Promise<{ readonly logs: readonly SourceLog[]; readonly unanswered: readonly UnansweredLog[] }>;
}

type Config = Pick<ResolvedConfig<unknown>, "sources" | "bus">;

/** Of all sources but those that have slots. Asks nothing yet. */
export function openSourceLogs({ sources, bus }: Config, signal: AbortSignal): SourceLogs {
  const watched = [...sources]
    .filter(([, { kind }]) => kind !== "postgres")
    .map(([id, { kind, config }]) => {
      const connector = connectors.get(kind) as Connector<unknown>;
      const saved = async () => (await readSavedMemory([id], bus.access.reveal(), signal)).get(id);
      return { id, kind, probe: connector.watch(id, config.reveal(), { saved, complete: true }) };
    });
  return {
    look: async () => {
      const access = bus.access.reveal();
      const ids = watched.map(({ id }) => id);
      if (ids.length === 0) return { logs: [], unanswered: [] };
      let stored: Awaited<ReturnType<typeof readStoredPositions>>;
      try {
        stored = await readStoredPositions(ids, access, signal);
      } catch (thrown) {
        return { logs: [], unanswered: ids.map((source) => ({ source, error: toError(thrown) })) };
      }
      const looks = await Promise.allSettled(
        watched.map(async ({ id, kind, probe }) => logOf(id, kind, probe, await probe.look(stored.get(id)))),
      );
      return {
        logs: looks.flatMap((look) => (look.status === "fulfilled" ? [look.value] : [])),
        unanswered: looks.flatMap((look, nth) =>
          look.status === "rejected" ? [{ source: ids[nth] as SourceId, error: toError(look.reason) }] : [],
        ),
      };
    },
    [Symbol.asyncDispose]: async () => {
      for (const { probe } of watched) await probe[Symbol.asyncDispose]();
    },
  };
}

function logOf(
  source: SourceId,
  kind: string,
  { metrics, summary }: RetentionProbe,
  held: Awaited<ReturnType<RetentionProbe["look"]>>,
): SourceLog {
  const measured = Object.entries(held ?? {}).filter((entry): entry is [string, number] => entry[1] !== undefined);
  const measures = Object.fromEntries(measured);
  const exceeded = metrics.flatMap((metric) => {
    const value = measures[metric.name];
    return value !== undefined && isBeyond(metric, value) ? [metric.alarm(value, metric.limit)] : [];
  });
  return { source, kind, summary: held === undefined ? null : (summary ?? null), measures, exceeded };
}

/** Within 100 columns. */
export function logLines(
  { source, kind, summary, exceeded }: SourceLog,
  alarms: Parameters<typeof alarmLines>[0],
  paint: Paint,
): readonly string[] {
  const colour = exceeded.length > 0 ? "red" : summary === null ? "yellow" : "green";
  const said = new Set(exceeded);
  const lines = [...exceeded, ...alarmLines(alarms.filter(({ message }) => !said.has(message)))];
  return [
    paint("bold", printable(`log of ${source} (${kind})`)),
    ...wrap(printable(summary ?? "nothing was read from it yet"), 96).map((line) => paint(colour, `  ${line}`)),
    ...lines.flatMap((line) => wrap(printable(line), 94).map((text) => `      ${text}`)),
  ];
}
