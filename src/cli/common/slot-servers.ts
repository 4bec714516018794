// The servers behind the configured Postgres sources, each once: sources of one server share its report.

import { toError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import {
  type ServerFacts,
  type ServerReport,
  SlotReporter,
  slotNotFound,
  withOwners,
} from "../../source/postgres/commands/slots.ts";
import type { PostgresConfig } from "../../source/postgres/options/config.ts";
import { slotNameOf } from "../../source/postgres/slot/slot-facts.ts";
import { type Reason, reasonOf } from "../../telemetry/reason.ts";
import { chooseSources } from "./choose-sources.ts";
import { loadConfig } from "./load-config.ts";

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

/** @param source one that must be there @throws ConfigError SOURCE_UNKNOWN, and what is wrong with the file */
export async function openSlotServers(file: string | undefined, source?: string): Promise<SlotServers> {
  const { sources } = await loadConfig(file);
  chooseSources(sources, source);
  const watches = [...sources].flatMap(([id, { kind, config }]) => {
    if (kind !== "postgres") return [];
    const section = config.reveal() as PostgresConfig; // as its connector parsed it
    return [{ id, slot: slotNameOf(id, section), watch: new SlotReporter(id, section) }];
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
export function unansweredBy({ source, error }: Unanswered): Reason & { readonly source: string } {
  return { source, ...reasonOf(error) };
}
