// What a log line says of an error that a handler threw, as the configuration has it.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { inspect } from "node:util";
import { toError } from "../../errors.ts";
import { type ErrorSummary, ownFrames } from "./error-summary.ts";

/** `name`: names, codes and places only. `whole`: with its stack and the lines of the source, for who writes the handler. */
export type LogErrors = "message" | "name" | "whole";

/** Fields of the line. `error` is the name, as it has always been. */
export function errorFields(error: ErrorSummary, detail: LogErrors): Readonly<Record<string, unknown>> {
  const { name, message, code, cause, at } = error;
  return {
    error: name,
    code,
    ...(detail !== "name" && { message }),
    ...(cause && { cause: errorFields(cause, detail) }),
    ...(at && { at }),
  };
}

/** For a person at work on the handler: the error with all it has, and the place in the source it came from. */
export function wholeError(thrown: unknown): string {
  const error = toError(thrown);
  const place = ownFrames(error)[0];
  return [inspect(error, { depth: 5 }), ...(place === undefined ? [] : sourceLines(place))].join("\n");
}

/** The line of a frame with two before it and after it; none where the file cannot be read. */
function sourceLines(frame: string): readonly string[] {
  const [, file = "", line = "0"] = /^(?:.* \()?(.*?):(\d+):\d+\)?$/.exec(frame) ?? [];
  let lines: readonly string[];
  try {
    lines = readFileSync(resolve(file), "utf8").split("\n");
  } catch {
    return [];
  }
  const at = Number(line);
  const shown = lines.slice(Math.max(0, at - 3), at + 2);
  return [
    `${file}:${line}`,
    ...shown.map((text, nth) => {
      const number = Math.max(1, at - 2) + nth;
      return `${number === at ? ">" : " "} ${String(number).padStart(5)} | ${text}`;
    }),
  ];
}
