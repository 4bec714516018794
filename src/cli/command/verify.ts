// `millrace verify`: whether a source's stream is what it promises to be.

import { openStoredPosition } from "../../bus/jetstream/commands/on-record.ts";
import type { TableReport } from "../../bus/jetstream/verify/key-ledger.ts";
import { type VerifyReport, verifyStream } from "../../bus/jetstream/verify/verify-stream.ts";
import { resolveBusConfig, resolveConfig } from "../../config/resolve.ts";
import { connectors } from "../../connectors.ts";
import { ConfigError, TransientError } from "../../errors.ts";
import { isSourceId, type SourceId } from "../../event/source-id.ts";
import type { KeySnapshot, SnapshotOptions } from "../../source/capabilities.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { namedSource } from "../common/capable-sources.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";

export interface VerifyCommandOptions extends CommandOptions {
  readonly source: string;
  /** First and last sequence; undefined means all. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** Compare with the tables' keys too. */
  readonly tables: boolean;
  readonly json: boolean;
  readonly log: Logger;
}

const DRAW_EVERY_MS = 200;
const LOG_EVERY_MS = 10_000;
/** A place of an idle source is saved within seconds; a busy worker may be minutes behind. */
const REACH_MS = 300_000;

/** Resolves to whether nothing is wrong. @throws ConfigError, TransientError */
export async function verify({
  config,
  source,
  tables,
  json,
  print,
  signal,
  ...options
}: VerifyCommandOptions): Promise<boolean> {
  if (!isSourceId(source)) {
    throw new ConfigError("VERIFY_SOURCE", `${source} cannot be a source's id`, {
      hint: "Give the name under `sources` in the configuration.",
    });
  }
  const file = await readConfig(config);
  const snapshotKeys = tables ? snapshotOf(file, source, options) : undefined;
  const access = resolveBusConfig(file).access.reveal();
  const progress = showProgress(options.log);
  let report: VerifyReport;
  let held: KeySnapshot | undefined;
  try {
    if (snapshotKeys !== undefined) {
      await using stored = await openStoredPosition(source, { ...access, log: options.log, signal });
      const wait = { stored: () => stored.look(), onWaiting: progress.waiting, reachWithinMs: REACH_MS, signal };
      held = await snapshotKeys(wait);
    }
    report = await verifyStream({ ...options, ...access, source, signal, held, onProgress: progress.show });
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new TransientError("VERIFY_STOPPED", "it was stopped before its end", { hint: "Run it again." });
  } finally {
    progress.end();
    await held?.[Symbol.asyncDispose]();
  }
  for (const line of json ? [JSON.stringify(report)] : textLines(report)) await print(line);
  return report.ok;
}

/** @throws ConfigError VERIFY_RANGE, CAPABILITY_MISSING, and what is wrong with the file */
function snapshotOf(
  file: unknown,
  source: SourceId,
  { from, to }: Pick<VerifyCommandOptions, "from" | "to">,
): (wait: SnapshotOptions) => Promise<KeySnapshot> {
  if (from !== undefined || to !== undefined) {
    throw new ConfigError("VERIFY_RANGE", "the tables can only be compared with all of the stream", {
      hint: "Give --tables without --from and --to.",
    });
  }
  const { id, config, connector } = namedSource(resolveConfig(file, connectors), source, "snapshotKeys");
  return (wait) => connector.snapshotKeys(id, config, wait);
}

/** The report for a person; what comes from the stream may hold anything, and a terminal must not take it for a command. */
export function textLines(report: VerifyReport): readonly string[] {
  const { stream, from, to, messages, events, transactions, batches, findings, tables = [] } = report;
  const markers = Object.entries(report.markers).map(([kind, count]) => `${kind} ${count}`);
  const total = Object.values(report.wrong).reduce((sum, count) => sum + count, 0);
  return [
    `${stream} ${to < from ? "is empty" : `${from} to ${to}`}: ${messages} messages, ${events} events in ${transactions} transactions, ${batches} batches`,
    ...(markers.length > 0 ? [`markers: ${markers.join(", ")}`] : []),
    ...report.notes.map(({ kind, sequence, about }) => `  #${sequence} ${kind} ${JSON.stringify(about)}`),
    ...tables.map((table) => `  ${tableLine(table)}`),
    ...findings.flatMap(({ code, sequence, what, means, fix }) => [
      `#${sequence} ${code}: ${what}`,
      `  means: ${means}`,
      `  fix: ${fix}`,
    ]),
    ...(total > findings.length ? [`and ${total - findings.length} more`] : []),
    total === 0 ? "nothing is wrong" : `${total} wrong`,
  ].map((line) => line.replace(/\p{Cc}/gu, "\u{FFFD}"));
}

function tableLine({
  namespace,
  collection,
  rows,
  inStream,
  notInStream,
  lost,
  gone,
  unexpected,
}: TableReport): string {
  const name = `${namespace}.${collection}`;
  if (rows === undefined) return `${name}: has no key, not compared`;
  const wrong = gone + unexpected === 0 ? "" : `, ${gone} gone, ${unexpected} unexpected`;
  const told = lost === 0 ? "" : `, ${lost} that a gap has taken`;
  return `${name}: ${rows} rows, ${inStream} in the stream, ${notInStream - lost} older than it${told}${wrong}`;
}

interface Progress {
  readonly show: (progress: { readonly done: number; readonly total: number }) => void;
  /** Before the walk, for the stream. */
  readonly waiting: (waitedMs: number) => void;
  readonly end: () => void;
}

/** A line that is drawn anew on a terminal, log lines elsewhere. */
function showProgress(log: Logger): Progress {
  const { stderr } = process;
  let saidAt = performance.now();
  let drawn = false;
  const due = (): boolean => {
    const now = performance.now();
    if (now - saidAt < (stderr.isTTY ? DRAW_EVERY_MS : LOG_EVERY_MS)) return false;
    saidAt = now;
    return true;
  };
  const draw = (text: string): void => {
    drawn = true;
    stderr.write(`\r\u001b[2K${text}`);
  };
  return {
    waiting: (waitedMs) => {
      const seconds = Math.round(waitedMs / 1000);
      if (!due()) return;
      if (stderr.isTTY) draw(`waiting for the stream to hold what the tables hold: ${seconds} s`);
      else log.info("verify_waiting", { seconds });
    },
    show: ({ done, total }) => {
      if (!due()) return;
      if (!stderr.isTTY) return log.info("verify_progress", { done, total });
      const filled = Math.round((20 * done) / total);
      draw(`${"█".repeat(filled)}${"░".repeat(20 - filled)} ${done} of ${total}`);
    },
    end: () => {
      if (drawn) stderr.write("\r\u001b[2K");
    },
  };
}
