// What a test gives to its automation: changes of rows, domain events, webhooks, what the worker tells of itself.

import type { Automation } from "../automation/define/automation.ts";
import type { TruncatedEvent } from "../automation/define/change-events.ts";
import type { ChangeTrigger } from "../automation/define/collection-trigger.ts";
import type { DomainTrigger } from "../automation/define/event-trigger.ts";
import { type GivenChange, givenTruncation, isGivenChange } from "../automation/define/given-row.ts";
import { isManual } from "../automation/define/manual.ts";
import type { WebhookTrigger } from "../automation/define/webhook.ts";
import { ConfigError } from "../errors.ts";
import type { CarriedLineage } from "../event/lineage.ts";
import type { DomainEvent } from "../event/parse-domain-event.ts";
import { dueEvent } from "../event/schedule-event.ts";
import { isSourceId, type SourceId } from "../event/source-id.ts";
import { unescapeToken } from "../event/subject.ts";
import { endpointEvent, manualEvent, type SystemData, type SystemKind, systemEvent } from "../event/system-event.ts";
import { type WebhookEvent, webhookEvent } from "../event/webhook-event.ts";
import type { WorkerEvent } from "../event/worker-event.ts";
import type { EventParts } from "../outbox/entry.ts";

/** A domain event that a test gives. */
export interface GivenDomain {
  readonly given: "domain";
  readonly type: string;
  readonly event: EventParts;
  /** Undefined: the source that the automation's other triggers listen to. */
  readonly source: SourceId | undefined;
  /** Of what a handler's `tx` emitted. */
  readonly lineage?: CarriedLineage | undefined;
}

/** An event of the worker's own stream that a test gives: told, or received. */
export interface GivenSystem {
  readonly given: "system";
  readonly event: WorkerEvent;
}

/** Anything that `given([…])` takes. */
export type GivenEvent = GivenChange | GivenDomain | GivenSystem;

/** Of which source's outbox it comes. */
export interface EmittedOptions {
  readonly source?: string;
}

/**
 * A domain event, as `emit` would have written it: `emitted(event<Order>("order.placed"), { key: 1, data: { … } })`, typed by the
 * trigger, or by its type's name alone. @throws ConfigError `TESTING_SOURCE`
 */
export function emitted<Data>(
  on: DomainTrigger<DomainEvent<Data>>,
  event: EventParts<NoInfer<Data>>,
  options?: EmittedOptions,
): GivenDomain;
export function emitted(type: string, event: EventParts, options?: EmittedOptions): GivenDomain;
export function emitted(
  on: string | Pick<DomainTrigger, "filter">,
  event: EventParts,
  { source }: EmittedOptions = {},
): GivenDomain {
  if (source !== undefined && !isSourceId(source)) {
    throw new ConfigError("TESTING_SOURCE", `${JSON.stringify(source)} cannot be a source's id`, {
      hint: "use the name under `sources` in the configuration",
    });
  }
  const type = typeof on === "string" ? on : typeOf(on.filter);
  // Given twice, it is one event: its id stays.
  return { given: "domain", type, event: { ...event, id: event.id ?? crypto.randomUUID() }, source };
}

/** `events.*.order.placed.*`: its third and fourth tokens. */
function typeOf(filter: string): string {
  const [, , aggregate = "", name = ""] = filter.split(".");
  return `${unescapeToken(aggregate)}.${unescapeToken(name)}`;
}

/** All rows of a table were taken out at once: `emptied(orders.truncated())`. */
export function emptied(on: ChangeTrigger<TruncatedEvent>): GivenChange {
  const [, , namespace = "", name = ""] = on.filter.split(".").map(unescapeToken);
  return givenTruncation({ source: on.source, namespace, name });
}

/** What the worker tells of itself, for `system(kind)`: `told("gap", { source: "shop", code: null, … })`. */
export function told<Kind extends SystemKind>(kind: Kind, data: SystemData[Kind]): GivenSystem {
  const id = crypto.randomUUID();
  const known: SystemData[SystemKind] = data;
  if ("endpoint" in known) {
    const state = known.state === "resumed" ? "open" : known.state;
    const event = endpointEvent(known.endpoint, { ...known, state, n: 1, at: "" });
    return { given: "system", event: { ...event, id: `${event.id}.${id}` } };
  }
  const { source } = known;
  const { state = "automation" in known ? "missed" : "recorded" } = known as { readonly state?: string };
  return { given: "system", event: systemEvent(kind, state, `${source}.${id}`, { ...data, source }) };
}

/**
 * What `millrace trigger` sends to an automation with `manual()` among its triggers: `triggered(reindex, { since: "2026-01-01" })`.
 * @param data as JSON; what the schema refuses becomes a dead letter, which the command would not have sent. Default null, as there
 * @throws ConfigError `TESTING_EVENT` for an automation that nobody can trigger
 */
export function triggered({ id, triggers }: Pick<Automation, "id" | "triggers">, data: unknown = null): GivenSystem {
  if (!triggers.some((one) => isManual(one, id))) {
    throw new ConfigError("TESTING_EVENT", `${id} has no manual() among its triggers`, { hint: "add it to its `on`" });
  }
  return { given: "system", event: manualEvent(id, crypto.randomUUID(), data) };
}

/** What a webhook brings. */
export interface ReceivedParts<Body = unknown> {
  /** Default: the type that the trigger names, where it names one. */
  readonly type?: string;
  /** The provider's. Default: a new one. */
  readonly id?: string;
  readonly body?: Body;
  /** What comes instead of JSON. */
  readonly raw?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * What a receiver took: `received(webhook<Invoice>("payments", "invoice.paid"), { body: { … } })`, typed by the trigger.
 * @throws ConfigError `TESTING_EVENT` where the trigger names several types or none, and `type` is left out
 */
export function received<Body>(
  on: WebhookTrigger<WebhookEvent<Body>>,
  { type, id = crypto.randomUUID(), body, raw, headers = {} }: ReceivedParts<NoInfer<Body>>,
): GivenSystem {
  const [only, ...others] = on.types;
  const meant = type ?? (others.length === 0 ? only : undefined);
  if (meant === undefined) {
    throw new ConfigError("TESTING_EVENT", `received(webhook("${on.receiver}")): the event has no type`, {
      hint: 'say which it has: received(webhook("code"), { type: "push", body: { … } })',
    });
  }
  const json = raw === undefined ? Buffer.from(JSON.stringify(body ?? null)) : undefined;
  const event = webhookEvent({ receiver: on.receiver, id, type: meant, time: "", headers, json, raw });
  return { given: "system", event };
}

/**
 * A time at which an automation with a schedule was due: `due(report, "2026-11-24T02:00:00Z")`.
 * @throws ConfigError `TESTING_EVENT` for an automation without a schedule, and for what is no time
 */
export function due({ id, schedule }: Pick<Automation, "id" | "schedule">, time: string | Date): GivenSystem {
  const dueMs = new Date(time).getTime();
  if (schedule === undefined || Number.isNaN(dueMs)) {
    const what = schedule === undefined ? `${id} has no schedule` : `${JSON.stringify(time)} is no time`;
    throw new ConfigError("TESTING_EVENT", what, {
      hint: 'write due(report, "2026-11-24T02:00:00Z"), of an automation with on: schedule(…)',
    });
  }
  return { given: "system", event: dueEvent(id, dueMs, { schedule: schedule.timetable.plan }) };
}

/** @throws ConfigError `TESTING_EVENT` for what is none */
export function refuseOthers(events: readonly GivenEvent[]): void {
  const wrong = events.findIndex((one) => !isGivenChange(one) && one.given !== "domain" && one.given !== "system");
  if (wrong < 0) return;
  throw new ConfigError("TESTING_EVENT", `the event ${wrong + 1} of those given is none that the kit knows`, {
    hint: "give what orders.row(…).created(), .updatedTo(…), .deleted() or .copied(), emitted(…), received(…), told(…), triggered(…) or due(…) have made, emptied(…), or what a result has as `emitted`",
  });
}
