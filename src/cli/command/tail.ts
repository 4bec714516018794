// `millrace tail`: events as they come, one line each.

import { followStreams } from "../../bus/jetstream/commands/follow-streams.ts";
import { resolveBusConfig } from "../../config/resolve.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import { percentDecoded } from "../../event/percent.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";

export interface TailCommandOptions extends CommandOptions {
  /** A whole subject, or a source's id. */
  readonly filter?: string | undefined;
  readonly json: boolean;
  /** How many of those that are there already come first, of each stream. */
  readonly last?: number | undefined;
  readonly log: Logger;
}

export async function tail({ config, filter, json, last, log, signal, print }: TailCommandOptions): Promise<void> {
  const access = resolveBusConfig(await readConfig(config)).access.reveal();
  for await (const message of followStreams({ ...access, filter, last, log, signal })) {
    await print(json ? jsonLine(message) : textLine(message));
  }
}

/** Time, type (which ends with the op), key, of an update the columns that changed (`?` where the log does not tell), sequence. */
export function textLine(message: StoredMessage): string {
  const key = header(message, "ce-subject")?.split("/").slice(1).join("/") || "-";
  const [time = "-", type = message.subject] = [header(message, "ce-time"), header(message, "ce-type")];
  // A key may hold anything; a terminal must not take it for a command.
  const changed = type.endsWith(".updated") ? `  changed: ${changedOf(message)}` : "";
  return `${time}  ${type}  ${key}${changed}  #${message.sequence}`.replace(/\p{Cc}/gu, "\u{FFFD}");
}

function changedOf({ data }: StoredMessage): string {
  try {
    const body: unknown = JSON.parse(Buffer.from(data).toString("utf8"));
    const changed = typeof body === "object" && body !== null && "changed" in body ? body.changed : undefined;
    return Array.isArray(changed) ? changed.join(", ") || "nothing" : "?";
  } catch {
    return "?"; // a large event's body is elsewhere
  }
}

/** One object; `data` is the body as it is, so that no number loses a digit, or null with the `dataref` of a large one. */
export function jsonLine(message: StoredMessage): string {
  const envelope = JSON.stringify({
    sequence: message.sequence,
    subject: message.subject,
    id: header(message, "ce-id"),
    type: header(message, "ce-type"),
    key: header(message, "ce-subject"),
    time: header(message, "ce-time"),
    position: header(message, "Cdc-Pos"),
    transaction: header(message, "Cdc-Tx"),
    last: header(message, "Cdc-Tx-Last") === "1",
  });
  const dataref = message.header("ce-dataref");
  const body = dataref === undefined ? dataOf(message) : `null,"dataref":${JSON.stringify(dataref)}`;
  return `${envelope.slice(0, -1)},"data":${body}}`;
}

function dataOf({ data }: StoredMessage): string {
  const text = Buffer.from(data).toString("utf8");
  try {
    JSON.parse(text);
  } catch {
    return JSON.stringify(text); // not one of ours
  }
  return text.replace(/[\r\n]+/g, " "); // in JSON a raw line break is only space
}

function header(message: StoredMessage, name: string): string | undefined {
  const value = message.header(name);
  return value === undefined ? undefined : percentDecoded(value);
}
