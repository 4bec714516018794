// Events out of files, as `millrace tail --json` writes them, or as a handler gets them.

import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { ConfigError } from "../../errors.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import { percentEncode } from "../../event/percent.ts";

/** A line of `tail --json`. */
export interface TailedEvent {
  readonly subject: string;
  readonly sequence: number;
  readonly data: unknown;
  readonly [name: string]: unknown;
}

/** @param file `-` for what comes in @throws ConfigError `INPUT_UNREADABLE` */
export async function readInput(file: string): Promise<string> {
  if (file === "-") return text(process.stdin);
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw unreadable(file, (error as NodeJS.ErrnoException).code ?? "it cannot be read", "name a file that is there");
  }
}

/** One JSON value, or one a line. @throws ConfigError `INPUT_UNREADABLE` */
export function parseEvents(input: string, file: string): readonly unknown[] {
  const whole = parsed(input);
  if (whole !== undefined) return [whole.value];
  const lines = input.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0)
    throw unreadable(file, "it is empty", "give it an event, as `millrace tail --json` writes it");
  return lines.map((line, nth) => {
    const event = parsed(line);
    if (event !== undefined) return event.value;
    throw unreadable(file, `line ${nth + 1} is no JSON`, "give it one event, or one a line");
  });
}

/** @throws ConfigError `INPUT_UNREADABLE` */
export function parseJson(input: string, file: string): unknown {
  const read = parsed(input);
  if (read !== undefined) return read.value;
  throw unreadable(file, "it is no JSON", "write it as JSON");
}

export function isTailed(event: unknown): event is TailedEvent {
  return typeof event === "object" && event !== null && "subject" in event && "sequence" in event && "data" in event;
}

/** The message that a line was made from, its lineage aside. @throws ConfigError `INPUT_UNREADABLE` where its body is kept apart */
export function messageOf({ subject, sequence, data, ...rest }: TailedEvent): StoredMessage {
  if (data === null && rest.dataref !== undefined) {
    throw unreadable(
      subject,
      `the body of event #${sequence} is not in the stream`,
      "take one whose body is not as large",
    );
  }
  const lines: Readonly<Record<string, unknown>> = {
    "ce-id": rest.id,
    "ce-type": rest.type,
    "ce-subject": rest.key,
    "ce-time": rest.time,
    "Cdc-Pos": rest.position,
    "Cdc-Tx": rest.transaction,
    "Cdc-Tx-Last": rest.last === true ? "1" : undefined,
  };
  const header = (name: string): string | undefined => {
    const value = lines[name];
    return typeof value === "string" ? percentEncode(value) : undefined;
  };
  return { subject, sequence, header, headers: () => ({}), data: Buffer.from(JSON.stringify(data)) };
}

function parsed(input: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(input) };
  } catch {
    return undefined;
  }
}

function unreadable(file: string, what: string, hint: string): ConfigError {
  return new ConfigError("INPUT_UNREADABLE", `${file === "-" ? "the standard input" : file}: ${what}`, { hint });
}
