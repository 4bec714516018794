// All connectors, and what is asked of them for a configuration: by the worker, and by commands that start none.

import type { Automation } from "./automation/define/automation.ts";
import type { TriggerConfig } from "./automation/define/trigger.ts";
import { DeclaredColumns } from "./automation/run/declared-columns.ts";
import { type CarriedOf, lackingImages } from "./automation/run/needed-images.ts";
import type { Refusal } from "./automation/run/refusal.ts";
import { type CollectionsOf, unknownColumns } from "./automation/run/unknown-columns.ts";
import { realClock } from "./clock.ts";
import { endpointKind } from "./config/endpoints-schema.ts";
import type { ResolvedConfig } from "./config/resolve.ts";
import { TICKET_CREATED } from "./egress/kind/ticket-event.ts";
import type { SourceId } from "./event/source-id.ts";
import type { OutboxHome } from "./source/capabilities.ts";
import type { Connector } from "./source/connector.ts";
import { dynamoConnector } from "./source/dynamodb/connector.ts";
import { mongoConnector } from "./source/mongodb/connector.ts";
import { postgresConnector } from "./source/postgres/connector.ts";
import type { Finding } from "./telemetry/finding.ts";
import type { Logger } from "./telemetry/logger.ts";

/** All connectors by kind. */
export const connectors: ReadonlyMap<string, Connector<unknown>> = new Map([
  [postgresConnector.kind, postgresConnector as Connector<unknown>],
  [mongoConnector.kind, mongoConnector as Connector<unknown>],
  [dynamoConnector.kind, dynamoConnector as Connector<unknown>],
]);

/** The connector of a source of this configuration: its kind was checked when it was read. */
export function connectorOf({ kind }: { readonly kind: string }): Connector<unknown> {
  return connectors.get(kind) as Connector<unknown>;
}

/** Where events come from that no source names: what automations' triggers have to know. */
export function triggerConfigOf(config: ResolvedConfig<unknown>): Required<TriggerConfig> {
  const { webhooks, types } = config.received;
  const emitted = (config.automations as readonly Automation[]).flatMap(({ emits = [] }) => emits);
  const endpoints = new Map([...config.endpoints].map(([name, one]) => [name, endpointKind(one.reveal())]));
  const tickets = [...endpoints.values()].includes("itsm") ? [TICKET_CREATED] : [];
  const posted = [...new Set([...types.keys(), ...emitted, ...tickets])];
  return { outboxes: [...outboxesOf(config).keys()], posted, receivers: [...webhooks.keys()], endpoints };
}

/** What tells whose outbox it is, for the sources that hold one. Those that another worker reads are among them. */
export function outboxesOf({ sources }: ResolvedConfig<unknown>): ReadonlyMap<SourceId, () => Promise<OutboxHome>> {
  const homes = [...sources].map(([id, source]) => [id, connectorOf(source).outboxHome?.(id, source.config.reveal())]);
  return new Map(homes.filter(([, home]) => home !== undefined) as [SourceId, () => Promise<OutboxHome>][]);
}

/** What automations declare of rows, against the databases as they are. */
export function declaredColumns({ sources }: ResolvedConfig<unknown>): DeclaredColumns {
  return new DeclaredColumns(async (id, collection) => {
    const source = sources.get(id);
    return (source && connectorOf(source).structuredColumns?.(id, source.config.reveal(), collection)) ?? [];
  }, realClock);
}

/** What automations read of rows and their sources' logs do not carry. */
export function imageRefusals(
  { sources }: ResolvedConfig<unknown>,
  automations: readonly Automation[],
): Promise<readonly Refusal[]> {
  const carriedOf: CarriedOf = async (id, of) => {
    const source = sources.get(id);
    return source && connectorOf(source).carriedImages?.(id, source.config.reveal(), of);
  };
  return lackingImages(automations, carriedOf, realClock);
}

/** What sources read now, each of them asked once. */
export function listedCollections({ sources }: ResolvedConfig<unknown>): CollectionsOf {
  const asked = new Map<SourceId, ReturnType<CollectionsOf>>();
  const ask: CollectionsOf = async (id) => {
    const source = sources.get(id);
    return source && connectorOf(source).collections(id, source.config.reveal());
  };
  return (id) => {
    const answer = asked.get(id) ?? ask(id);
    asked.set(id, answer);
    return answer;
  };
}

/** All for which a start is refused by what automations declare and read of rows. */
export async function rowRefusals(
  config: ResolvedConfig<unknown>,
  automations: readonly Automation[],
  declared: DeclaredColumns = declaredColumns(config),
): Promise<readonly Refusal[]> {
  return (await Promise.all([declared.refusals(automations), imageRefusals(config, automations)])).flat();
}

/** Columns that automations name and no event will have: for a person to look at. */
export function columnWarnings(
  automations: readonly Automation[],
  collectionsOf: CollectionsOf,
): Promise<readonly Finding[]> {
  return unknownColumns(automations, collectionsOf, realClock);
}

/** Logs which columns automations name and no event will have; a start does not wait for it. Never rejects. */
export async function warnOfColumns(
  config: ResolvedConfig<unknown>,
  automations: readonly Automation[],
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  for (const { code, subject, message, fix } of await columnWarnings(automations, listedCollections(config)))
    if (!signal.aborted) log.warn("automation_column_unknown", { code, hint: fix }, `${subject}: ${message}`);
}
