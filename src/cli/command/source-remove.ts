// `millrace source remove`: takes away what a source would leave behind to fill a disk, and says first what is lost.

import { connectors } from "../../app.ts";
import { findSourceOnBus, removeSourceFromBus, type SourceOnBus } from "../../bus/jetstream/commands/remove-source.ts";
import { loadConfigFile } from "../../config/load.ts";
import { resolveConfig } from "../../config/resolve.ts";
import { ConfigError, MillraceError, toError } from "../../errors.ts";
import * as millrace from "../../index.ts";
import { quoteIdentifier } from "../../source/postgres/client/sql.ts";
import { findRemains, type Remains, removeRemains } from "../../source/postgres/commands/remains.ts";
import type { PostgresConfig } from "../../source/postgres/options/config.ts";
import { redact } from "../../telemetry/redact.ts";
import { chooseSources } from "../common/choose-sources.ts";
import { confirm } from "../common/confirm.ts";
import { bytes } from "../common/slots-table.ts";
import { printable } from "../common/terminal.ts";

export interface SourceRemoveOptions {
  readonly config?: string | undefined;
  readonly source: string;
  /** Its stream too, with all events, subscriptions and records. */
  readonly stream: boolean;
  /** Without it a person on a terminal is asked, and all others are refused. */
  readonly yes: boolean;
  readonly json: boolean;
  readonly signal: AbortSignal;
  readonly print: (line: string) => Promise<void>;
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
  const input = await loadConfigFile({ file, directory: process.cwd(), modules: { millrace }, automations: false });
  const resolved = resolveConfig(input, connectors);
  const [chosen] = chooseSources(resolved.sources, source);
  if (chosen === undefined) return; // not: it is named
  const [id, { config }] = chosen;
  const postgres = config.reveal() as PostgresConfig; // as its connector parsed it: there is no other kind yet
  const bus = { ...resolved.bus.access.reveal(), signal };
  const [remains, onBus] = await Promise.allSettled([findRemains(id, postgres), findSourceOnBus(id, bus)]);
  const left: Left[] = [];
  if (remains.status === "rejected") left.push({ what: "database", error: toError(remains.reason) });
  if (onBus.status === "rejected") left.push({ what: "bus", error: toError(onBus.reason) });
  const [nothing] = left;
  if (nothing !== undefined && (left.length === 2 || (remains.status === "rejected" && !stream))) throw nothing.error;
  const found = { remains: fulfilled(remains), onBus: fulfilled(onBus) };
  const say = (removed: boolean): Promise<void> =>
    print(
      redact(
        JSON.stringify({
          source: id,
          slot: found.remains?.slot ?? null,
          publication: found.remains?.publication ?? null,
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
  if (found.remains !== undefined) await removeRemains(id, postgres, found.remains); // a slot that is read keeps all
  if (stream && onBus.status === "fulfilled") await removeSourceFromBus(id, bus);
  const failed = left.find(({ what }) => what === "database" || stream);
  if (json) await say(failed === undefined);
  if (failed !== undefined) throw failed.error;
  if (json) return;
  await print(
    `removed; now take ${id} out of the configuration: \`millrace run\` would ${stream ? "begin it anew" : "miss its slot"}`,
  );
}

function fulfilled<T>(settled: PromiseSettledResult<T>): T | undefined {
  return settled.status === "fulfilled" ? settled.value : undefined;
}

function reasonOf(error: Error): { readonly code: string; readonly message: string } {
  return { code: error instanceof MillraceError ? error.code : "UNEXPECTED", message: error.message };
}

function lossLines(
  id: string,
  { remains, onBus }: { readonly remains: Remains | undefined; readonly onBus: SourceOnBus | null | undefined },
  left: readonly Left[],
  stream: boolean,
): readonly string[] {
  const lines = [`source ${id}`, ...(remains === undefined ? [] : remainsLines(remains))];
  for (const { what, error } of left) {
    const kept = what === "database" ? "slot and publication stay" : "what it has on the bus stays";
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

function remainsLines({ slot, publication }: Remains): readonly string[] {
  const lines =
    slot === null
      ? ["  no slot in its database"]
      : [
          `  slot ${slot.name}: frees ${bytes(slot.retainedBytes)} of log; ${bytes(slot.unconfirmedBytes)} that it has not acknowledged are lost to the stream`,
        ];
  if (publication === null) return lines;
  return [
    ...lines,
    publication.ours
      ? `  publication ${publication.name}`
      : `  publication ${publication.name}: stays, for Millrace has not made it; if nobody else reads it: DROP PUBLICATION ${quoteIdentifier(publication.name)};`,
  ];
}
