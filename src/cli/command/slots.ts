// `millrace slots`: what each source holds in its database, or could lose: all logical slots of Postgres servers, and the logs of
// sources of other kinds; once or again and again; and `slots drop`.

import { realClock } from "../../clock.ts";
import type { ResolvedConfig } from "../../config/resolve.ts";
import { ConfigError, toError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import {
  type ServerFacts,
  type ServerReport,
  SlotReporter,
  slotNotFound,
  withOwners,
} from "../../source/postgres/commands/slots.ts";
import { namesOf } from "../../source/postgres/facts/names.ts";
import type { PostgresConfig } from "../../source/postgres/options/config.ts";
import { bytes } from "../../telemetry/quantities.ts";
import { type Reason, reasonOf } from "../../telemetry/reason.ts";
import { redact } from "../../telemetry/redact.ts";
import { chooseSources } from "../common/capable-sources.ts";
import { type CommandOptions, loadConfig } from "../common/load-config.ts";
import { runningWorker, type Status } from "../common/running-worker.ts";
import { type ShownSlot, slotLines } from "../common/slots-table.ts";
import { logLines, openSourceLogs, type SourceLog } from "../common/source-logs.ts";
import { confirm, paint, printable, wrap } from "../common/terminal.ts";

export interface SlotsOptions extends CommandOptions {
  readonly watch: boolean;
  readonly json: boolean;
}

export interface DropOptions extends CommandOptions {
  readonly name: string;
  /** Only on this source's server. */
  readonly source?: string | undefined;
  /** Without it a person on a terminal is asked, and for all others nothing is dropped: what would be lost is said. */
  readonly yes: boolean;
}

/** Two looks this far apart give the rate. */
const LOOK_EVERY_MS = 2000;

/** @throws ConfigError; once, and all that answered is printed, what one server did not answer for */
export async function slots({ config, watch, json, signal, print }: SlotsOptions): Promise<void> {
  const loaded = await loadConfig(config);
  await using open = openSlotServers(loaded);
  await using others = openSourceLogs(loaded, signal);
  const ask = await runningWorker(config);
  await open.look();
  const redraw = watch && !json && process.stdout.isTTY === true;
  for (;;) {
    await realClock.sleep(LOOK_EVERY_MS, signal); // asked to end: once more, and out
    const [slots, logs] = await Promise.all([open.look(), others.look()]);
    const worker = await ask().catch(() => undefined); // it need not run
    const servers = withLags(slots.servers, worker);
    const shown = logs.logs.map((log) => ({ ...log, alarms: partOf(worker, log.source)?.alarms ?? [] }));
    const without = [...slots.unanswered, ...logs.unanswered];
    const unanswered = without.map(unansweredBy);
    if (redraw) await print("\u001b[2J\u001b[H");
    if (json) await print(redact(JSON.stringify({ servers, logs: shown, unanswered })));
    else for (const line of lines(servers, shown, unanswered)) await print(line);
    if (watch && !signal.aborted) continue;
    const [first] = without;
    if (first !== undefined && !watch) throw first.error;
    return;
  }
}

/** Within 100 columns. */
function lines(
  servers: readonly Shown[],
  logs: readonly (SourceLog & { readonly alarms: ShownSlot["alarms"] })[],
  unanswered: readonly ReturnType<typeof unansweredBy>[],
): readonly string[] {
  const colour = paint(process.stdout);
  const tables = servers.map(({ sources, ...report }) => slotLines(report, sources, colour));
  const others = logs.map(({ alarms, ...log }) => logLines(log, alarms, colour));
  const away = unanswered.map(({ source, code, message }) =>
    wrap(printable(redact(`server of ${source}: ${code}: ${message}`)), 98).map((line) => colour("red", line)),
  );
  return [...tables, ...others, ...away].flatMap((block, nth) => (nth > 0 ? ["", ...block] : block));
}

/** What only the worker knows: how old what it stores is, and how long a heartbeat takes. */
function withLags(servers: readonly SlotServer[], worker: Status | undefined): readonly Shown[] {
  return servers.map((server) => ({
    ...server,
    slots: server.slots.map((slot) => {
      const known = worker?.sources.find(({ id }) => id === slot.source);
      const part = partOf(worker, slot.source);
      const { lagSeconds = null, heartbeatSeconds = null } = known ?? {};
      return { ...slot, lagSeconds, heartbeatSeconds, alarms: part?.alarms ?? [] };
    }),
  }));
}

function partOf(worker: Status | undefined, source: string | null): Status["parts"][number] | undefined {
  return worker?.parts.find(({ kind, id }) => kind === "source" && id === source);
}

interface Shown extends SlotServer {
  readonly slots: readonly ShownSlot[];
}

/** @throws ConfigError SLOT_NOT_FOUND, SLOT_AMBIGUOUS, SLOT_DROP_UNCONFIRMED, SOURCE_UNKNOWN; TransientError SLOT_ACTIVE */
export async function dropSlot({ config, name, source, yes, signal, print }: DropOptions): Promise<void> {
  const loaded = await loadConfig(config);
  refuseWithoutSlots(loaded, source);
  await using open = openSlotServers(loaded);
  const { servers, unanswered } = await open.look();
  const away = unanswered.find(({ source: id }) => source === undefined || id === source);
  if (away !== undefined) throw source === undefined ? ambiguous(name, unansweredBy(away)) : away.error;
  const found = servers.flatMap((server) => {
    const slot = server.slots.find((candidate) => candidate.name === name);
    const asked = source === undefined || server.sources.some((id) => id === source);
    return slot !== undefined && asked ? [{ server, slot }] : [];
  });
  const [only, another] = found;
  if (only === undefined) throw slotNotFound(name);
  if (another !== undefined) throw ambiguous(name, undefined);
  const { server, slot } = only;
  const reader = slot.source === null ? "Whoever read it" : `The source ${slot.source}`;
  const lost = `${reader} cannot go on from it: ${bytes(slot.unconfirmedBytes)} of log that it has not acknowledged are lost to it.`;
  const where = `server of ${server.sources.join(", ")}, database ${slot.database}`;
  await print(printable(`slot ${name}, ${where}: frees ${bytes(slot.retainedBytes)} of log`));
  await print(printable(lost));
  if (!(await confirm({ word: name, to: "drop it", yes, signal }))) {
    throw new ConfigError("SLOT_DROP_UNCONFIRMED", `the slot ${name} was not dropped`, {
      hint: "Add --yes to drop it.",
    });
  }
  await open.drop(server, name);
  await print(printable(`dropped the slot ${name}`));
}

/** @param away a server that did not answer, and may have it */
function ambiguous(name: string, away: ReturnType<typeof unansweredBy> | undefined): ConfigError {
  const why =
    away === undefined
      ? "several servers have one of this name"
      : `the server of ${away.source} does not answer (${away.code}) and may have one of this name`;
  return new ConfigError("SLOT_AMBIGUOUS", `the slot ${name} was not dropped: ${why}`, {
    hint: "Say by --source which source's server is meant.",
  });
}

export interface SlotServer extends ServerReport {
  /** Ids of the sources that read from it. */
  readonly sources: readonly SourceId[];
}

/** A source whose server did not answer. */
export interface Unanswered {
  readonly source: SourceId;
  readonly error: Error;
}

export interface Look {
  readonly servers: readonly SlotServer[];
  readonly unanswered: readonly Unanswered[];
}

export interface SlotServers extends AsyncDisposable {
  /** One server that is away does not hide the others. */
  look(): Promise<Look>;
  /** @throws TransientError SLOT_ACTIVE; ConfigError SLOT_NOT_FOUND */
  drop(server: SlotServer, name: string): Promise<void>;
}

/** @throws ConfigError SOURCE_UNKNOWN; CAPABILITY_MISSING where no source, or not the one that is named, has a slot */
function refuseWithoutSlots({ sources }: Pick<ResolvedConfig<unknown>, "sources">, source: string | undefined): void {
  const chosen = chooseSources(sources, source);
  const [lacking] = chosen;
  if (lacking === undefined || chosen.some(([, { kind }]) => kind === "postgres")) return;
  const [id, { kind }] = lacking;
  throw new ConfigError("CAPABILITY_MISSING", `the source ${id} is of the kind ${kind}, which has no slots`, {
    hint: "Kinds that have: postgres. What the log of another kind holds, or could lose, is in `millrace slots`.",
  });
}

function openSlotServers({ sources }: Pick<ResolvedConfig<unknown>, "sources">): SlotServers {
  const watches = [...sources].flatMap(([id, { kind, config }]) => {
    if (kind !== "postgres") return [];
    const section = config.reveal() as PostgresConfig; // as its connector parsed it
    return [{ id, slot: namesOf(id, section).slot, watch: new SlotReporter(id, section) }];
  });
  return {
    look: async () => {
      const looks = await Promise.allSettled(watches.map(({ watch }) => watch.look()));
      const found = new Map<string, { sources: SourceId[]; owners: Map<string, SourceId>; facts: ServerFacts }>();
      const unanswered: Unanswered[] = [];
      for (const [nth, { id, slot }] of watches.entries()) {
        const look = looks[nth];
        if (look?.status !== "fulfilled") {
          unanswered.push({ source: id, error: toError(look?.reason) });
          continue;
        }
        const facts = look.value;
        const server = found.get(facts.systemId) ?? { sources: [], owners: new Map<string, SourceId>(), facts };
        server.sources.push(id);
        server.owners.set(slot, id); // by name on this server alone: another one may have a slot of the same name
        found.set(facts.systemId, server);
      }
      const servers = [...found.values()].map(({ sources, owners, facts }) => ({
        sources,
        ...withOwners(facts, owners),
      }));
      return { servers, unanswered };
    },
    drop: async ({ sources: [first] }, name) => {
      const watch = watches.find(({ id }) => id === first)?.watch;
      if (watch === undefined) throw slotNotFound(name);
      await watch.drop(name);
    },
    [Symbol.asyncDispose]: async () => {
      for (const { watch } of watches) await watch[Symbol.asyncDispose]();
    },
  };
}

/** As `--json` has it. */
function unansweredBy({ source, error }: Unanswered): Reason & { readonly source: string } {
  return { source, ...reasonOf(error) };
}
