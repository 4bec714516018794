// The logger of the command: JSON lines, readable ones on a terminal; nothing secret in either.

import { createRequire } from "node:module";
import { pino } from "pino";
import { BugError, MillraceError } from "../errors.ts";
import type { LogEvent, Logger } from "./logger.ts";
import { redact } from "./redact.ts";

export interface LoggerOptions {
  readonly level: "debug" | "info";
  /** For a person at a terminal, not for a machine. */
  readonly pretty: boolean;
  /** Where whole lines go. Default: stderr. */
  readonly write?: (line: string) => void;
}

/** A logger whose lines are `{ level, time, event, …fields, msg }`. */
export function createLogger(options: LoggerOptions): Logger {
  const write = options.write ?? ((line) => void process.stderr.write(line));
  const format = options.pretty ? prettyFormat() : (line: string) => line;
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    { write: (line: string) => write(redact(format(line))) },
  );
  const log =
    (level: "debug" | "info" | "warn" | "error") =>
    (event: LogEvent, fields: Readonly<Record<string, unknown>> = {}, text?: string): void => {
      if (!logger.isLevelEnabled(level)) return;
      const safe = Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? named(value) : value]);
      logger[level]({ event, ...Object.fromEntries(safe) }, text);
    };
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

/** Only our own errors keep their text: a driver's may quote a row. */
function named(error: Error): Readonly<Record<string, unknown>> {
  const code = "code" in error ? error.code : undefined;
  if (!(error instanceof MillraceError)) return { name: error.name, code };
  const cause = error.cause instanceof Error ? named(error.cause) : undefined;
  const stack = error instanceof BugError ? error.stack : undefined;
  return { name: error.name, code, message: error.message, hint: error.hint, cause, stack };
}

/** Loaded only for a terminal: a worker that writes JSON never pays for it. */
function prettyFormat(): (line: string) => string {
  const { prettyFactory } = createRequire(import.meta.url)("pino-pretty") as typeof import("pino-pretty");
  return prettyFactory({
    colorize: true,
    translateTime: "SYS:HH:MM:ss.l",
    ignore: "event",
    messageFormat: "{event} {msg}",
    singleLine: true,
  });
}
