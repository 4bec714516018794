// `millrace source remove`: takes away what a source would leave behind to fill a disk, and says first what is lost.

import { findSourceOnBus, removeSourceFromBus, type SourceOnBus } from "../../bus/jetstream/commands/remove-source.ts";
import { ConfigError, toError } from "../../errors.ts";
import type { Leftovers, Removal } from "../../source/capabilities.ts";
import { bytes } from "../../telemetry/quantities.ts";
import { reasonOf } from "../../telemetry/reason.ts";
import { redact } from "../../telemetry/redact.ts";
import { namedSource } from "../common/capable-sources.ts";
import { type CommandOptions, loadConfig } from "../common/load-config.ts";
import { confirm, printable } from "../common/terminal.ts";

export interface SourceRemoveOptions extends CommandOptions {
  readonly source: string;
  /** Its stream too, with all events, subscriptions and records. */
  readonly stream: boolean;
  /** Without it a person on a terminal is asked, and all others are refused. */
  readonly yes: boolean;
  readonly json: boolean;
}

/** What could not be looked at, or not be removed. */
interface Left {
  readonly what: "database" | "bus";
  readonly error: Error;
}

/**
 * Does each part that can be done: the database does not need the bus, nor the other way round.
 * @throws ConfigError SOURCE_UNKNOWN, SOURCE_REMOVE_UNCONFIRMED; TransientError SLOT_ACTIVE; why a part is left
 */
export async function removeSource(options: SourceRemoveOptions): Promise<void> {
  const { config: file, source, stream, yes, json, signal, print } = options;
  const loaded = await loadConfig(file);
  const { id, config, connector } = namedSource(loaded, source, "remove");
  const { parts } = connector.remove;
  const bus = { ...loaded.bus.access.reveal(), signal };
  const [inDatabase, onBus] = await Promise.allSettled([connector.remove.find(id, config), findSourceOnBus(id, bus)]);
  const left: Left[] = [];
  if (inDatabase.status === "rejected") left.push({ what: "database", error: toError(inDatabase.reason) });
  if (onBus.status === "rejected") left.push({ what: "bus", error: toError(onBus.reason) });
  const [nothing] = left;
  if (nothing !== undefined && (left.length === 2 || (inDatabase.status === "rejected" && !stream)))
    throw nothing.error;
  const found = { parts, leftovers: fulfilled(inDatabase), onBus: fulfilled(onBus) };
  const say = (removed: boolean): Promise<void> =>
    print(
      redact(
        JSON.stringify({
          source: id,
          ...Object.fromEntries(parts.map((part) => [part, found.leftovers?.report[part] ?? null])),
          bus: found.onBus ?? null,
          removesStream: stream,
          removed,
          left: left.map(({ what, error }) => ({ what, ...reasonOf(error) })),
        }),
      ),
    );
  if (!json) for (const line of lossLines(id, found, left, stream)) await print(printable(redact(line)));
  if (!(json ? yes : await confirm({ word: source, to: "remove it", yes, signal }))) {
    if (json) await say(false);
    throw new ConfigError("SOURCE_REMOVE_UNCONFIRMED", `nothing of the source ${id} was removed`, {
      hint: "Add --yes to remove it.",
    });
  }
  await found.leftovers?.remove(); // what is still read by a worker keeps all
  if (stream && onBus.status === "fulfilled") await removeSourceFromBus(id, bus);
  const failed = left.find(({ what }) => what === "database" || stream);
  if (json) await say(failed === undefined);
  if (failed !== undefined) throw failed.error;
  if (json) return;
  const [first] = parts;
  const otherwise = stream ? "begin it anew" : first === undefined ? "go on with it" : `miss its ${first}`;
  const did = stream || first !== undefined ? "removed" : "there was nothing to remove";
  await print(`${did}; now take ${id} out of the configuration: \`millrace run\` would ${otherwise}`);
}

function fulfilled<T>(settled: PromiseSettledResult<T>): T | undefined {
  return settled.status === "fulfilled" ? settled.value : undefined;
}

function lossLines(
  id: string,
  {
    parts,
    leftovers,
    onBus,
  }: {
    readonly parts: Removal<unknown>["parts"];
    readonly leftovers: Leftovers | undefined;
    readonly onBus: SourceOnBus | null | undefined;
  },
  left: readonly Left[],
  stream: boolean,
): readonly string[] {
  const lines = [`source ${id}`, ...(leftovers?.lines ?? []).map((line) => `  ${line}`)];
  for (const { what, error } of left) {
    const kept = what === "database" ? `${parts.join(" and ") || "what it has"} stay` : "what it has on the bus stays";
    const { code, message } = reasonOf(error);
    lines.push(`  the ${what} does not answer: ${kept} (${code}: ${message})`);
  }
  if (onBus === undefined) return lines;
  if (onBus === null) return [...lines, "  no stream on the bus"];
  lines.push(
    `  stream ${onBus.stream}: ${onBus.messages} messages, ${bytes(onBus.bytes)}${stream ? ", all of them, with the bodies of its large events, the dead letters of its rows and what is on record of the source" : "; it stays until its events expire; --stream removes it"}`,
  );
  if (!stream) return lines;
  return [
    ...lines,
    ...onBus.durables.map(({ name, pending }) => `    subscription ${name}: ${pending} messages not yet handed out`),
  ];
}
