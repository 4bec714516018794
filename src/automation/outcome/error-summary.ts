// What is kept of an error that a handler threw: enough to find it, bounded and without secrets.

import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { toError } from "../../errors.ts";
import { redact } from "../../telemetry/redact.ts";

const maxLength = 500;
const maxFrames = 5;
const maxCauses = 3;

export interface ErrorSummary {
  readonly name: string;
  /** Cut to 500 characters, without secrets. It is the handler's own text. */
  readonly message: string;
  readonly code: string | undefined;
  /** What caused it, and what caused that: three at most. */
  readonly cause?: ErrorSummary;
  /** The first lines of its stack that are neither Node's, nor a package's, nor ours: `work (automations/mail.ts:12:9)`. */
  readonly at?: readonly string[];
}

export function summarizeError(thrown: unknown): ErrorSummary {
  return summarize(thrown, maxCauses);
}

function summarize(thrown: unknown, causes: number): ErrorSummary {
  const error = toError(thrown);
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: readonly unknown[] };
  const from = cause ?? errors?.[0];
  const at = thrown instanceof Error ? ownFrames(thrown).slice(0, maxFrames) : [];
  return {
    name: short(error.name),
    message: short(redact(withoutParams(error.message))),
    code: typeof code === "string" || typeof code === "number" ? short(String(code)) : undefined,
    ...(from !== undefined && from !== thrown && causes > 0 && { cause: summarize(from, causes - 1) }),
    ...(at.length > 0 && { at }),
  };
}

/** Lines of the stack as `function (file:line:column)`, files below the working directory by their path from there. */
export function ownFrames(error: Error): readonly string[] {
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
