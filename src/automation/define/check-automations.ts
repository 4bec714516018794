// What `check` says of automations: triggers that would never match in silence, and subscriptions that nobody has any more.

import { durableOwner } from "../../event/control.ts";
import { retrySubject } from "../../event/retry-message.ts";
import { retryId, type SourceId, streamName, systemId } from "../../event/source-id.ts";
import { about, type Finding, findingOf } from "../../telemetry/finding.ts";
import { refuseUnsendable } from "../outcome/sending.ts";
import type { Automation } from "./automation.ts";
import type { KnownSources, TriggerCheck, TriggerConfig } from "./trigger.ts";

/** What is known of one source. */
export interface ListenedSource {
  /** What it reads now; undefined where the database could not be asked. */
  readonly collections: readonly { readonly namespace: string; readonly name: string }[] | undefined;
  /** Subscriptions to its stream that automations have made. */
  readonly durables: readonly string[];
  readonly stream: string;
}

/** The sources of a configuration. */
export interface ConfiguredSources extends TriggerConfig {
  readonly all: readonly SourceId[];
}

/**
 * @param sources those that are looked at; the worker's own events count as one
 * @param waiting how many long retries and replays wait, by the automation that they wait for
 */
export function automationFindings(
  automations: readonly Automation[],
  { all, ...config }: ConfiguredSources,
  sources: ReadonlyMap<SourceId, ListenedSource>,
  waiting: ReadonlyMap<string, number> = new Map<string, number>(),
): readonly Finding[] {
  const known: KnownSources = { all, collections: (source) => sources.get(source)?.collections };
  const elsewhere = (source: SourceId): boolean =>
    !sources.has(source) && (all.includes(source) || source === systemId);
  const findings = automations.flatMap((automation) => {
    const { ok } = about(`automation ${automation.id}`);
    const filters = automation.triggers
      .flatMap((trigger) => trigger.subscriptions(config))
      .flatMap(({ source, filter }) => (elsewhere(source) ? [] : filter));
    const wrong = findingsOf(automation, { ...config, automation: automation.id, known });
    if (wrong.length > 0 || filters.length === 0) return wrong;
    const message = `listens to ${filters.join(", ")}`;
    return [ok("AUTOMATION", message) satisfies Finding];
  });
  const orphans = [...sources.values()].flatMap((source) => orphanFindings(automations, source));
  return [...findings, ...orphans, ...unclaimedFindings(automations, waiting)];
}

/** What its triggers say; only the error of one for which the start refuses it. */
function findingsOf(automation: Automation, against: TriggerCheck): readonly Finding[] {
  const { triggers } = automation;
  const subject = `automation ${against.automation}`;
  try {
    if (against.endpoints !== undefined) refuseUnsendable(automation, against.endpoints);
    return triggers.flatMap((trigger) => trigger.check(against)).map((one) => ({ level: "warn", subject, ...one }));
  } catch (error) {
    return [findingOf(error, subject)];
  }
}

/** They hold nothing back, for the stream has its own limits; but an id that comes back goes on where it stood. */
function orphanFindings(automations: readonly Automation[], { durables, stream }: ListenedSource): readonly Finding[] {
  return durables
    .filter((name) => !automations.some(({ id }) => id === durableOwner(name).automation))
    .map((name) =>
      about(`subscription ${name}`).warn(
        "AUTOMATION_ORPHAN",
        `${stream} keeps its place for an automation that this configuration does not have`,
        `nats consumer rm ${stream} ${name}`,
      ),
    );
}

/** Nobody hands them out, and no limit of their stream takes them away. */
function unclaimedFindings(
  automations: readonly Automation[],
  waiting: ReadonlyMap<string, number>,
): readonly Finding[] {
  return [...waiting]
    .filter(([automation]) => !automations.some(({ id }) => id === automation))
    .map(([automation, count]) =>
      about(`automation ${automation}`).warn(
        "RETRY_ORPHAN",
        `${count} long retries and replays wait for it, and this configuration does not have it`,
        `Give an automation this id again, and it gets them; or give them up: nats stream purge ${streamName(retryId)} --subject=${retrySubject(automation)}`,
      ),
    );
}
