// A logger that keeps what it is told, for tests of what a user gets to read.

import type { LogEvent, Logger } from "../../../src/telemetry/logger.ts";

export interface LoggedLine {
  readonly level: keyof Logger;
  readonly event: LogEvent;
  readonly fields: Readonly<Record<string, unknown>>;
}

type Write = Logger["info"];

export class RecordedLog implements Logger {
  readonly lines: LoggedLine[] = [];
  readonly debug: Write = this.#at("debug");
  readonly info: Write = this.#at("info");
  readonly warn: Write = this.#at("warn");
  readonly error: Write = this.#at("error");

  /** The fields of all lines of one event. */
  of(event: LogEvent): readonly Readonly<Record<string, unknown>>[] {
    return this.lines.filter((line) => line.event === event).map(({ fields }) => fields);
  }

  count(event: LogEvent): number {
    return this.of(event).length;
  }

  #at(level: keyof Logger): Write {
    return (event, fields = {}) => {
      this.lines.push({ level, event, fields });
    };
  }
}
