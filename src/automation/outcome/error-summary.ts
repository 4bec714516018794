// What is kept of an error that a handler threw, bounded and without secrets; and what a log line says of one.

import { readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { toError } from "../../errors.ts";
import { redact } from "../../telemetry/redact.ts";
import { readable } from "./readable.ts";

const maxLength = 500;
const maxAnswer = 2000;
const maxFrames = 5;
const maxCauses = 3;

export interface ErrorSummary {
  readonly name: string;
  /** Cut to 500 characters, without secrets. It is the handler's own text. */
  readonly message: string;
  readonly code: string | undefined;
  /** What caused it, and what caused that: three at most. */
  readonly cause?: ErrorSummary;
  /** What an endpoint answered: its beginning, without secrets. In records alone, never in a log: it may quote what was sent. */
  readonly answer?: string;
  /** The first lines of its stack that are neither Node's, nor a package's, nor ours: `work (automations/mail.ts:12:9)`. */
  readonly at?: readonly string[];
}

export function summarizeError(thrown: unknown): ErrorSummary {
  return summarize(readable(thrown), maxCauses);
}

function summarize(thrown: unknown, causes: number): ErrorSummary {
  const error = toError(thrown);
  const { code, cause, errors, answer } = error as Partial<Record<"code" | "cause" | "answer", unknown>> & {
    readonly errors?: readonly unknown[];
  };
  const from = cause ?? errors?.[0];
  const at = thrown instanceof Error ? ownFrames(thrown).slice(0, maxFrames) : [];
  return {
    name: short(error.name),
    message: short(redact(withoutParams(error.message))),
    code: typeof code === "string" || typeof code === "number" ? short(String(code)) : undefined,
    ...(from !== undefined && from !== thrown && causes > 0 && { cause: summarize(from, causes - 1) }),
    ...(typeof answer === "string" && answer !== "" && { answer: redact(answer).slice(0, maxAnswer) }),
    ...(at.length > 0 && { at }),
  };
}

/** Lines of the stack as `function (file:line:column)`, files below the working directory by their path from there. */
function ownFrames(error: Error): readonly string[] {
  const lines = (error.stack ?? "").split("\n").filter((line) => /^ +at /.test(line));
  return lines.map(frame).filter((line) => line !== "");
}

const here = dirname(fileURLToPath(import.meta.url));
/** `dist`, or `src`. */
const ours = here.replace(/([\\/]src)[\\/]automation[\\/].*$/, "$1");

function frame(line: string): string {
  const [, name = "", file = "", place = ""] = /^ +at (?:async )?(?:(.*) \()?(.*?)(:\d+:\d+)\)?$/.exec(line) ?? [];
  const path = file.startsWith("file:") ? fileURLToPath(file) : file;
  if (!path.startsWith("/") && !/^[A-Za-z]:\\/.test(path)) return "";
  if (/[\\/]node_modules[\\/]/.test(path) || path.startsWith(`${ours}/`)) return "";
  const short = relative(process.cwd(), path);
  const where = `${short.startsWith("..") ? path : short}${place}`;
  return (name === "" ? where : `${name} (${where})`).slice(-maxLength);
}

/** drizzle puts the values of a statement behind it: they may be a row's. */
function withoutParams(message: string): string {
  return message.replace(/\nparams: [\s\S]*$/, "");
}

function short(text: string): string {
  return text.slice(0, maxLength);
}

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
  const error = toError(readable(thrown));
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
