// What `check` says of automations: triggers that would never match in silence, and subscriptions that nobody has any more.

import { outboxId, type SourceId, systemId } from "../../event/source-id.ts";
import { changeSubjectPrefix } from "../../event/subject.ts";
import type { Finding } from "../../telemetry/finding.ts";
import type { Automation } from "./automation.ts";
import type { Trigger } from "./collection.ts";
import { inEach } from "./event-trigger.ts";

/** What is known of one source. */
export interface ListenedSource {
  /** What it reads now; undefined where the database could not be asked. */
  readonly collections: readonly { readonly namespace: string; readonly name: string }[] | undefined;
  /** Subscriptions to its stream that automations have made. */
  readonly durables: readonly string[];
  readonly stream: string;
}

const OPS = ["created", "updated", "deleted"] as const;

/** The sources of a configuration. */
export interface ConfiguredSources {
  readonly all: readonly SourceId[];
  /** Those that hold an outbox: there domain events come from. */
  readonly outboxes: readonly SourceId[];
}

/** @param sources those that are looked at; the worker's own events count as one */
export function automationFindings(
  automations: readonly Automation[],
  { all, outboxes }: ConfiguredSources,
  sources: ReadonlyMap<SourceId, ListenedSource>,
): readonly Finding[] {
  const configured = [...all, systemId];
  const findings = automations.flatMap(({ id, triggers }) => {
    if (outboxes.length === 0 && triggers.some(({ source }) => source === outboxId)) return [deafFinding(id)];
    const about = triggers
      .flatMap((trigger) => inEach(outboxes, trigger))
      .filter(({ source }) => sources.has(source) || !configured.includes(source));
    const wrong = about.flatMap(
      (trigger) => triggerFinding(id, trigger, configured, sources.get(trigger.source)) ?? [],
    );
    if (wrong.length > 0 || about.length === 0) return wrong;
    const message = `listens to ${about.map(({ filter }) => filter).join(", ")}`;
    return [{ level: "ok", code: "AUTOMATION", subject: `automation ${id}`, message } satisfies Finding];
  });
  return [...findings, ...[...sources.values()].flatMap((source) => orphanFindings(automations, source))];
}

/** In the words of the start, which refuses it. */
function deafFinding(id: string): Finding {
  return {
    level: "fail",
    code: "AUTOMATION_WITHOUT_OUTBOX",
    subject: `automation ${id}`,
    message: "it waits for domain events, and no source holds an outbox",
    fix: "Set `outbox: true` on the source whose database the application emits them in.",
  };
}

function triggerFinding(
  id: string,
  { source, filter }: Trigger,
  configured: readonly SourceId[],
  known: ListenedSource | undefined,
): Finding | undefined {
  const finding = { level: "warn", subject: `automation ${id}` } as const;
  if (!configured.includes(source)) {
    return {
      ...finding,
      code: "AUTOMATION_SOURCE_UNKNOWN",
      message: `it listens to the source ${source}, which this configuration does not have: it waits until another worker makes its stream`,
      fix: `Correct the name; the configuration has ${configured.filter((one) => one !== systemId).join(", ") || "none"}.`,
    };
  }
  if (known?.collections === undefined || !filter.startsWith("cdc.")) return undefined;
  const read = known.collections.some(({ namespace, name }) =>
    OPS.some((op) => filter.startsWith(changeSubjectPrefix(source, namespace, name, op))),
  );
  if (read) return undefined;
  return {
    ...finding,
    code: "AUTOMATION_NEVER_MATCHES",
    message: `it listens to ${filter}, and the source ${source} reads no such collection: no event will ever match`,
    fix: `Correct the collection's name in the automation, or let the source's option tables name it; it must exist.`,
  };
}

/** They hold nothing back, for the stream has its own limits; but an id that comes back goes on where it stood. */
function orphanFindings(automations: readonly Automation[], { durables, stream }: ListenedSource): readonly Finding[] {
  return durables
    .filter((name) => !automations.some(({ id }) => id === name))
    .map((name) => ({
      level: "warn",
      code: "AUTOMATION_ORPHAN",
      subject: `subscription ${name}`,
      message: `${stream} keeps its place for an automation that this configuration does not have`,
      fix: `nats consumer rm ${stream} ${name}`,
    }));
}
