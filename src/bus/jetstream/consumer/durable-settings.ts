// How an automation's durable is set, and in what one that somebody else has set differs from that. Pure.

import { AckPolicy, type ConsumerConfig, DeliverPolicy, ReplayPolicy } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { retryId } from "../../../event/source-id.ts";
import type { ConsumeOptions } from "../../subscription.ts";
import { maxPrefetch } from "./prefetch.ts";

/** So many may wait for the confirmation of their ack without holding up others: their handlers have ended. */
export const maxFinishing = 256;
/** Messages that may wait for a retry besides those in hand: failing ones must not stop the others. */
const maxRetrying = 1000;
const UNLIMITED = -1;

/** The one group of an ordered durable's pull requests. */
export const ORDER_GROUP = "key";
/** Without a pull request of the one puller for this long another one takes its place: twice what it lets one last. */
const PINNED_MS = 4000;
const pinned: Partial<ConsumerConfig> = {
  priority_policy: "pinned_client",
  priority_groups: [ORDER_GROUP],
  priority_timeout: nanos(PINNED_MS),
};

/** So that `check` can tell it from a subscriber of somebody else. */
export const MADE_FOR_AUTOMATION: Readonly<Record<string, string>> = { millrace: "automation" };
/** Under which a durable names what it was last set to by us, which of its lives on record it is, and what it may repeat. */
const SETTINGS = "millrace-settings";
const LIFE = "millrace-life";
const REPEATS = "millrace-repeats-through";

/** What follows the automation's definition. */
export interface Settings {
  readonly filters: readonly string[];
  readonly ackWait: number;
  readonly maxAckPending: number;
  /** Of an ordered one: the server hands out to one puller at a time. */
  readonly pinned?: true;
}

/** In what a durable was changed, and whether messages may have been passed over or given up for it. */
export interface Change {
  readonly settings: readonly string[];
  readonly loses: boolean;
}

export function settingsOf({
  ordered,
  ...options
}: Pick<ConsumeOptions, "source" | "filters" | "ackWaitMs" | "minPending" | "ordered">): Settings {
  return {
    // Twice the same filter is an overlap, which the server refuses.
    filters: [...new Set(options.filters)].sort(),
    ackWait: nanos(options.ackWaitMs),
    // All that waits in MILLRACE_RETRY was handed out once, and given back for its time.
    maxAckPending:
      ordered?.most ??
      (options.source === retryId ? UNLIMITED : Math.max(options.minPending, maxPrefetch) + maxFinishing + maxRetrying),
    ...(ordered ? { pinned: true } : {}),
  };
}

/** What a durable is brought to, whatever it was set to: all that may be changed of one that exists. */
export function configured(
  settings: Settings,
  metadata: Readonly<Record<string, string>> = {},
): Partial<ConsumerConfig> {
  return {
    ack_wait: settings.ackWait,
    max_ack_pending: settings.maxAckPending,
    max_deliver: -1,
    // Left out of the request, the server's defaults hold: these are what another one had set.
    ...absent,
    ...(settings.pinned ? pinned : {}),
    filter_subjects: [...settings.filters],
    metadata: { ...metadata, ...MADE_FOR_AUTOMATION, [SETTINGS]: JSON.stringify(settings) },
  };
}

const absent: Readonly<Record<string, undefined>> = {
  filter_subject: undefined,
  backoff: undefined,
  headers_only: undefined,
  inactive_threshold: undefined,
  max_batch: undefined,
  max_bytes: undefined,
  max_expires: undefined,
};

export interface NewDurable {
  readonly start: number | "all";
  readonly life: number;
  readonly repeatsThrough: number;
}

/**
 * A durable that is to be made.
 * @param start the first sequence that it hands out
 * @param life which one of those that were ever made for the automation
 * @param repeatsThrough up to which sequence a predecessor may have handed out what comes
 */
export function newDurable(
  name: string,
  settings: Settings,
  { start, life, repeatsThrough }: NewDurable,
): Partial<ConsumerConfig> {
  return {
    durable_name: name,
    ack_policy: AckPolicy.Explicit,
    // By sequence, so that it can be moved later. The server clamps it to what the stream still holds.
    // A work queue is always handed out whole: what is settled has left it.
    ...(start === "all"
      ? { deliver_policy: DeliverPolicy.All }
      : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: start }),
    ...configured(settings, { [LIFE]: String(life), [REPEATS]: String(repeatsThrough) }),
  };
}

/** The life that a durable is in; 0 for one that another version made, or somebody else. */
export function lifeOf({ metadata }: Pick<ConsumerConfig, "metadata">): number {
  return Number(metadata?.[LIFE] ?? 0);
}

export function repeatsThroughOf({ metadata }: Pick<ConsumerConfig, "metadata">): number {
  return Number(metadata?.[REPEATS] ?? 0);
}

export function filtersOf(config: Pick<ConsumerConfig, "filter_subject" | "filter_subjects">): readonly string[] {
  return [...(config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : []))].sort();
}

/** Whether it can be pulled from as an automation does at all. */
export function isForeign(config: ConsumerConfig): boolean {
  return config.deliver_subject !== undefined || config.ack_policy !== AckPolicy.Explicit;
}

/** What somebody changed of a durable since it was made or last brought up to date; undefined where nothing was. */
export function changeOf(config: ConsumerConfig): Change | undefined {
  const ours = lastSet(config);
  const losing = [
    (config.max_deliver ?? -1) !== -1 && "max_deliver",
    ours !== undefined && filtersOf(config).join() !== ours.filters.join() && "filter_subjects",
    config.headers_only && "headers_only",
    isPinned(config) !== (ours?.pinned ?? false) && "priority_groups",
    config.replay_policy !== ReplayPolicy.Instant && "replay_policy",
  ];
  const other = [
    ours !== undefined && config.ack_wait !== ours.ackWait && "ack_wait",
    ours !== undefined && config.max_ack_pending !== ours.maxAckPending && "max_ack_pending",
    (config.backoff?.length ?? 0) > 0 && "backoff",
    ...(["inactive_threshold", "max_batch", "max_bytes", "max_expires"] as const).map(
      (name) => (config[name] ?? 0) > 0 && name,
    ),
  ];
  const settings = [...losing, ...other].filter((name) => typeof name === "string");
  return settings.length === 0 ? undefined : { settings, loses: losing.some(Boolean) };
}

/** Whether the server hands out to one puller of a group at a time, or otherwise by groups. */
export function isPinned({ priority_groups }: Pick<ConsumerConfig, "priority_groups">): boolean {
  return (priority_groups?.length ?? 0) > 0;
}

/** Whether it is set as the automation's definition wants it now. */
export function isSetTo(config: ConsumerConfig, settings: Settings): boolean {
  return JSON.stringify(lastSet(config)) === JSON.stringify(settings) && changeOf(config) === undefined;
}

function lastSet({ metadata }: ConsumerConfig): Settings | undefined {
  const text = metadata?.[SETTINGS];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Settings;
  } catch {
    return undefined; // by hand
  }
}
