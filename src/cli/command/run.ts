// `millrace run`: the worker.

import { setFlagsFromString } from "node:v8";
import { startWorker, type Worker } from "../../app.ts";
import { loadOwned } from "../../automation/run/run-automations.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { readConfig } from "../common/load-config.ts";

export interface RunOptions {
  /** The file; undefined means the `millrace.config.*` here. */
  readonly config?: string | undefined;
  /** Ids; undefined means all. */
  readonly sources?: readonly string[] | undefined;
  /** Ids; undefined means all, an empty list none. */
  readonly automations?: readonly string[] | undefined;
  readonly adopt: boolean;
  /** A logger of all levels: the configuration says which are wanted. */
  readonly log: Logger;
  /** Say all, whatever the configuration wants. */
  readonly verbose: boolean;
  /** Drains and ends. */
  readonly signal: AbortSignal;
}

/**
 * How far the heap may grow over what lives before it is collected, in percent. Left to itself V8 waits for several times
 * as much, which a stream of short-lived buffers always fills: 250 MB and more instead of 155, for an eighth more speed. At
 * 25 it collected so often that it cost as much again.
 */
const HEAP_GROWING_PERCENT = 70;

/** Resolves when it was asked to stop and has drained. @throws what ended the worker */
export async function run({
  config: file,
  sources,
  automations,
  adopt,
  log,
  verbose,
  signal,
}: RunOptions): Promise<void> {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  const loaded = await loadOwned(log, () => readConfig(file, automations?.length !== 0));
  const config = withLevel(loaded, verbose);
  const asked = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  let worker: Worker;
  try {
    worker = await startWorker(config, {
      sources,
      automations,
      adopt,
      log,
      signal,
      http: true,
      wholeErrors: process.env.MILLRACE_DEV === "1",
    });
  } catch (error) {
    if (signal.aborted) return; // asked to stop while it waited for a server
    throw error;
  }
  try {
    await Promise.race([asked, worker.finished.then(() => asked)]);
  } finally {
    await worker.stop();
  }
}

/** What is wrong with it is said where it is checked. */
function withLevel(config: unknown, verbose: boolean): unknown {
  if (typeof config !== "object" || config === null) return config;
  const { log } = config as { readonly log?: unknown };
  if (log !== undefined && (typeof log !== "object" || log === null)) return config;
  return { ...config, log: { level: "info", ...log, ...(verbose ? { level: "debug" } : {}) } };
}
