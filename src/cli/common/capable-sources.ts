// The sources whose kind can do what a command needs, and what is said of those whose kind cannot.

import type { ResolvedConfig } from "../../config/resolve.ts";
import { connectors } from "../../connectors.ts";
import { BugError, ConfigError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Connector } from "../../source/connector.ts";

/** What a command may ask of a connector, and what is done where that is not to be had. */
const capabilities = {
  copiesRows: {
    cannot: "copy rows that existed before",
    instead: "Read the stream beside what you copy by the database's own means.",
  },
  describeCollections: {
    cannot: "describe its collections",
    instead: "Write the types of its rows by hand.",
  },
  remove: {
    cannot: "take away what it keeps in its database",
    instead: "Take that away by the database's own means, and its stream by the nats command.",
  },
  setupText: {
    cannot: "say what an administrator sets up for this",
    instead: "See the page of that kind under docs/connectors.",
  },
  snapshotKeys: {
    cannot: "give the keys that its database holds",
    instead: "Leave --tables out: then the stream alone is looked at.",
  },
} as const;

export type Capability = keyof typeof capabilities;

export interface CapableSource<Name extends Capability> {
  readonly id: SourceId;
  readonly kind: string;
  /** As its connector parsed it. */
  readonly config: unknown;
  readonly connector: CapableConnector<Name>;
}

type CapableConnector<Name extends Capability> = Connector<unknown> & Required<Pick<Connector<unknown>, Name>>;

/**
 * The one that is named, or all whose kind has the capability.
 * @param fits whether a connector's capability is the one that is meant; default: any
 * @throws ConfigError SOURCE_UNKNOWN; CAPABILITY_MISSING when the named one's kind lacks it, or every one's does
 */
export function capableSources<Name extends Capability>(
  { sources }: Pick<ResolvedConfig<unknown>, "sources">,
  name: string | undefined,
  capability: Name,
  fits: (connector: CapableConnector<Name>) => boolean = () => true,
): readonly CapableSource<Name>[] {
  const chosen = chooseSources(sources, name);
  const capable = chosen.flatMap(([id, { kind, config }]): readonly CapableSource<Name>[] => {
    const connector = connectors.get(kind);
    return connector !== undefined && has(connector, capability) && fits(connector)
      ? [{ id, kind, config: config.reveal(), connector }]
      : [];
  });
  const [lacking] = chosen;
  if (capable.length === 0 && lacking !== undefined)
    throw capabilityMissing(lacking[0], lacking[1].kind, capability, fits);
  return capable;
}

/** The one that is named. @throws as `capableSources` */
export function namedSource<Name extends Capability>(
  config: Pick<ResolvedConfig<unknown>, "sources">,
  name: string,
  capability: Name,
): CapableSource<Name> {
  const [source] = capableSources(config, name, capability);
  if (source === undefined) throw new BugError("SOURCE_UNCHOSEN", `${name} was found and is not there`);
  return source;
}

function has<Name extends Capability>(
  connector: Connector<unknown>,
  capability: Name,
): connector is CapableConnector<Name> {
  return connector[capability] !== undefined;
}

function capabilityMissing<Name extends Capability>(
  id: SourceId,
  kind: string,
  capability: Name,
  fits: (connector: CapableConnector<Name>) => boolean,
): ConfigError {
  const { cannot, instead } = capabilities[capability];
  const able = [...connectors.values()].filter((connector) => has(connector, capability) && fits(connector));
  const kinds = able.map((connector) => connector.kind);
  return new ConfigError("CAPABILITY_MISSING", `the source ${id} is of the kind ${kind}, which cannot ${cannot}`, {
    hint: `Kinds that can: ${kinds.join(", ") || "none"}. ${instead}`,
  });
}

type Sources = ResolvedConfig<unknown>["sources"];
type Chosen = readonly (Sources extends ReadonlyMap<infer Id, infer Source> ? readonly [Id, Source] : never)[];

/** The one that is named, or all. @throws ConfigError SOURCE_UNKNOWN */
export function chooseSources(sources: Sources, name: string | undefined): Chosen {
  const chosen = [...sources].filter(([id]) => name === undefined || id === name);
  if (chosen.length > 0 || name === undefined) return chosen;
  throw new ConfigError("SOURCE_UNKNOWN", `there is no source ${JSON.stringify(name)}`, {
    hint: `The configuration has: ${[...sources.keys()].join(", ") || "none"}.`,
  });
}
