// `millrace slots`: all logical slots of the sources' servers, once or again and again; and `slots drop`.

import { setTimeout as delay } from "node:timers/promises";
import { ConfigError } from "../errors.ts";
import { type ServerReport, SlotWatch, slotNameOf, slotNotFound } from "../source/postgres/slots.ts";
import { postgresSources } from "./postgres-sources.ts";
import { runningWorker, type Status } from "./running-worker.ts";
import { bytes, type ShownSlot, slotLines } from "./slots-table.ts";
import { paint, printable } from "./terminal.ts";

interface CommonOptions {
  readonly config?: string | undefined;
  readonly print: (line: string) => Promise<void>;
}

export interface SlotsOptions extends CommonOptions {
  readonly watch: boolean;
  readonly json: boolean;
  readonly signal: AbortSignal;
}

export interface DropOptions extends CommonOptions {
  readonly name: string;
  /** Without it nothing is dropped: what would be lost is said. */
  readonly yes: boolean;
}

/** Two looks this far apart give the rate. */
const LOOK_EVERY_MS = 2000;

/** @throws ConfigError, TransientError */
export async function slots({ config, watch, json, signal, print }: SlotsOptions): Promise<void> {
  await using servers = await openServers(config);
  const ask = await runningWorker(config);
  await servers.look();
  const redraw = watch && !json && process.stdout.isTTY === true;
  do {
    await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {}); // asked to end: once more, and out
    const reports = withLags(await servers.look(), await ask().catch(() => undefined)); // it need not run
    if (redraw) await print("\u001b[2J\u001b[H");
    if (json) await print(JSON.stringify({ servers: reports }));
    for (const [nth, { sources, ...report }] of (json ? [] : reports).entries()) {
      if (nth > 0) await print("");
      for (const line of slotLines(report, sources, paint(process.stdout))) await print(line);
    }
  } while (watch && !signal.aborted);
}

/** What only the worker knows: how old what it stores is, and how long a heartbeat takes. */
function withLags(servers: readonly Located[], worker: Status | undefined): readonly Shown[] {
  return servers.map((server) => ({
    ...server,
    slots: server.slots.map((slot) => {
      const known = worker?.sources.find(({ id }) => id === slot.source);
      return { ...slot, lagSeconds: known?.lagSeconds ?? null, heartbeatSeconds: known?.heartbeatSeconds ?? null };
    }),
  }));
}

/** @throws ConfigError SLOT_NOT_FOUND, SLOT_DROP_UNCONFIRMED; TransientError SLOT_ACTIVE */
export async function dropSlot({ config, name, yes, print }: DropOptions): Promise<void> {
  await using servers = await openServers(config);
  for (const server of await servers.look()) {
    const slot = server.slots.find((candidate) => candidate.name === name);
    if (slot === undefined) continue;
    const reader = slot.source === null ? "Whoever read it" : `The source ${slot.source}`;
    const lost = `${reader} cannot go on from it: ${bytes(slot.unconfirmedBytes)} of log that it has not acknowledged are lost to it.`;
    await print(printable(`slot ${name}, database ${slot.database}: frees ${bytes(slot.retainedBytes)} of log`));
    await print(printable(lost));
    if (!yes) {
      throw new ConfigError("SLOT_DROP_UNCONFIRMED", `the slot ${name} was not dropped`, {
        hint: "Add --yes to drop it.",
      });
    }
    await servers.drop(server, name);
    await print(printable(`dropped the slot ${name}`));
    return;
  }
  throw slotNotFound(name);
}

interface Located extends ServerReport {
  /** Ids of the sources that read from it. */
  readonly sources: readonly string[];
}

interface Shown extends Located {
  readonly slots: readonly ShownSlot[];
}

interface Servers extends AsyncDisposable {
  look(): Promise<readonly Located[]>;
  drop(server: Located, name: string): Promise<void>;
}

/** Sources of one server share its report. */
async function openServers(file: string | undefined): Promise<Servers> {
  const sources = await postgresSources(file, undefined);
  const owners = new Map(sources.map(({ id, config }) => [slotNameOf(id, config), id]));
  const watches = sources.map(({ id, config }) => ({ id, watch: new SlotWatch(id, config, owners) }));
  return {
    look: async () => {
      const found = new Map<string, Located>();
      for (const { id, watch } of watches) {
        const report = await watch.look();
        const known = found.get(report.systemId);
        found.set(
          report.systemId,
          known ? { ...known, sources: [...known.sources, id] } : { sources: [id], ...report },
        );
      }
      return [...found.values()];
    },
    drop: async ({ sources: [first] }, name) => {
      await watches.find(({ id }) => id === first)?.watch.drop(name);
    },
    [Symbol.asyncDispose]: async () => {
      for (const { watch } of watches) await watch[Symbol.asyncDispose]();
    },
  };
}
