// What a rule may wait for. A further kind is one entry of the table.

import { z } from "zod";
import { collection } from "../automation/define/collection.ts";
import { event } from "../automation/define/event-trigger.ts";
import { type ScheduleOptions, schedule } from "../automation/define/schedule.ts";
import { system } from "../automation/define/system.ts";
import type { Image, Trigger } from "../automation/define/trigger.ts";
import { webhook } from "../automation/define/webhook.ts";
import type { SystemKind } from "../event/system-event.ts";

/** What of the configuration a rule may name. */
export interface KnownNames {
  readonly sources: readonly string[];
  readonly endpoints: readonly string[];
  readonly webhooks: readonly string[];
  /** Of the endpoints, by name. */
  readonly kinds: Readonly<Record<string, string>>;
}

/** A name of the configuration that a trigger or an action goes by, and the option that it stands in. */
export interface Named {
  readonly option: string;
  readonly section: "sources" | "endpoints" | "webhooks";
}

export interface TriggerKind {
  /** Of all that stands in `on`. */
  readonly schema: z.ZodType;
  /** What of it must be in the configuration. */
  readonly names?: Named;
  /** @param images of a row that the rule reads @throws ConfigError */
  triggers(on: never, images: readonly Image[]): readonly Trigger[];
}

/** By the member of `on` that says which kind it is. */
export const triggerKinds: Readonly<Record<string, TriggerKind>> = {
  collection: kind({
    schema: z
      .strictObject({
        source: z.string(),
        collection: z.string(),
        op: oneOrMore(z.enum(["created", "updated", "deleted", "truncated"])),
        changed: oneOrMore(z.string().min(1)).optional(),
        columns: z.record(z.string(), z.enum(["number", "text", "boolean", "json"])).optional(),
      })
      .refine(({ op, changed }) => changed === undefined || op.includes("updated"), {
        error: "it is about op: updated",
        path: ["changed"],
      }),
    names: { option: "source", section: "sources" },
    triggers: ({ source, collection: name, op, changed, columns }, images) => {
      const of = collection(source, name, { open: true, ...(columns && { columns }) });
      return op.map((one): Trigger => {
        if (one === "truncated") return of.truncated();
        if (one === "updated" && changed !== undefined) return of.changed(...(changed as [string, ...string[]]));
        const carried = images.filter(
          (image) => image !== (one === "created" ? "before" : "after") || one === "updated",
        );
        return of[one]({ images: carried });
      });
    },
  }),
  event: kind({
    schema: z.strictObject({ event: z.string() }),
    triggers: ({ event: type }) => [event(type)],
  }),
  webhook: kind({
    schema: z.strictObject({ webhook: z.string(), type: oneOrMore(z.string()).optional() }),
    names: { option: "webhook", section: "webhooks" },
    triggers: ({ webhook: receiver, type = [] }) => [webhook(receiver, ...type)],
  }),
  schedule: kind({
    schema: z.strictObject({ schedule: z.string(), tz: z.string().optional(), catchUp: z.unknown().optional() }),
    triggers: ({ schedule: when, ...options }) => [schedule(when, options as ScheduleOptions)],
  }),
  system: kind({
    schema: z.strictObject({ system: z.string() }),
    triggers: ({ system: of }) => [system(of as SystemKind)],
  }),
};

function kind<Schema extends z.ZodType>(of: {
  readonly schema: Schema;
  readonly names?: Named;
  triggers(on: z.output<Schema>, images: readonly Image[]): readonly Trigger[];
}): TriggerKind {
  return of as TriggerKind;
}

/** One, or a list; a list in the end. */
function oneOrMore<Item extends z.ZodType>(item: Item) {
  return z.union([item.transform((one) => [one]), z.array(item).min(1)]);
}
