// What commands have of the terminal: lines out, signals in, the log, and the end.

import { createLogger } from "../../telemetry/create-logger.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { describeError, exitCodeOf } from "../common/report-error.ts";

/** Whether more is asked for: it stands before or behind the command, so it is known before both are parsed. */
export const verbose: boolean = process.argv.includes("--verbose");

/** Ends the process, whatever is still open. */
export function end(code: number): never {
  process.exit(code);
}

/** Says what went wrong, and ends with the exit code of its kind. */
export function fail(thrown: unknown): never {
  console.error(describeError(thrown, verbose));
  end(exitCodeOf(thrown));
}

/** A log on the standard error, for people when that is a terminal. */
export function logger(level: "debug" | "info" = verbose ? "debug" : "info"): Logger {
  return createLogger({ level, pretty: process.stderr.isTTY === true });
}

/** Resolves when the line is with the reader or its buffer; whoever stops reading ends the command. */
export function print(line: string): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(`${line}\n`)) resolve();
    else process.stdout.once("drain", resolve);
  });
}

/** One Ctrl-C may come as two signals: from the terminal, and from a runner (npm) that passes it on. */
const SAME_MS = 1000;

/** Aborts with the first signal. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let firstMs = 0;
  const onSignal = (): void => {
    if (!controller.signal.aborted) {
      firstMs = performance.now();
      controller.abort();
    } else if (performance.now() - firstMs > SAME_MS) process.exit(1);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller.signal;
}
