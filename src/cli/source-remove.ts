// `millrace source remove`: takes away what a source would leave behind to fill a disk, and says first what is lost.

import { createInterface } from "node:readline/promises";
import { connectors } from "../app.ts";
import { findSourceOnBus, removeSourceFromBus, type SourceOnBus } from "../bus/jetstream/remove-source.ts";
import { loadConfigFile } from "../config/load.ts";
import { resolveConfig } from "../config/resolve.ts";
import { ConfigError } from "../errors.ts";
import * as millrace from "../index.ts";
import type { PostgresConfig } from "../source/postgres/config.ts";
import { findRemains, type Remains, removeRemains } from "../source/postgres/remains.ts";
import { chooseSources } from "./choose-sources.ts";
import { bytes } from "./slots-table.ts";
import { printable } from "./terminal.ts";

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

/** @throws ConfigError SOURCE_UNKNOWN, SOURCE_REMOVE_UNCONFIRMED; TransientError SLOT_ACTIVE */
export async function removeSource(options: SourceRemoveOptions): Promise<void> {
  const { config: file, source, stream, json, signal, print } = options;
  const input = await loadConfigFile({ file, directory: process.cwd(), modules: { millrace }, automations: false });
  const resolved = resolveConfig(input, connectors);
  const [chosen] = chooseSources(resolved.sources, source);
  if (chosen === undefined) return; // not: it is named
  const [id, { config }] = chosen;
  const postgres = config.reveal() as PostgresConfig; // as its connector parsed it: there is no other kind yet
  const bus = { servers: resolved.bus.servers.reveal(), signal };
  const remains = await findRemains(id, postgres);
  const onBus = await findSourceOnBus(id, bus);
  const report = { source: id, ...remains, bus: onBus, removesStream: stream };
  if (!json) for (const line of lossLines(id, remains, onBus, stream)) await print(printable(line));
  if (!(await confirmed(options))) {
    if (json) await print(JSON.stringify({ ...report, removed: false }));
    throw new ConfigError("SOURCE_REMOVE_UNCONFIRMED", `nothing of the source ${id} was removed`, {
      hint: "Add --yes to remove it.",
    });
  }
  await removeRemains(id, postgres, remains);
  if (stream) await removeSourceFromBus(id, bus);
  if (json) return print(JSON.stringify({ ...report, removed: true }));
  await print(
    `removed; now take ${id} out of the configuration: \`millrace run\` would ${stream ? "begin it anew" : "miss its slot"}`,
  );
}

function lossLines(
  id: string,
  { slot, publication }: Remains,
  bus: SourceOnBus | null,
  stream: boolean,
): readonly string[] {
  const lines = [`source ${id}`];
  if (slot === null) lines.push("  no slot in its database");
  else {
    lines.push(
      `  slot ${slot.name}: frees ${bytes(slot.retainedBytes)} of log; ${bytes(slot.unconfirmedBytes)} that it has not acknowledged are lost to the stream`,
    );
  }
  if (publication !== null) {
    lines.push(`  publication ${publication.name}${publication.ours ? "" : ": stays, for Millrace has not made it"}`);
  }
  if (bus === null) return [...lines, "  no stream on the bus"];
  lines.push(
    `  stream ${bus.stream}: ${bus.messages} messages, ${bytes(bus.bytes)}${stream ? ", all of them, and what is on record of the source" : "; it stays until its events expire; --stream removes it"}`,
  );
  if (!stream) return lines;
  return [
    ...lines,
    ...bus.durables.map(({ name, pending }) => `    subscription ${name}: ${pending} messages not yet handed out`),
  ];
}

/** A person types the source's name. */
async function confirmed({ yes, json, source, signal }: SourceRemoveOptions): Promise<boolean> {
  if (yes || json || process.stdin.isTTY !== true || process.stdout.isTTY !== true) return yes;
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return (await lines.question(`Type ${source} to remove it: `, { signal })).trim() === source;
  } finally {
    lines.close();
  }
}
