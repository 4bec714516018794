// What a rule may do. A further action is one entry of the table.

import { z } from "zod";
import type { Handler } from "../automation/define/automation.ts";
import { effectsOf } from "../automation/define/effects.ts";
import { send } from "../automation/define/send.ts";
import type { AnyEvent } from "../automation/define/trigger.ts";
import { emittedEvent } from "./emitted-event.ts";
import { refuseMembers } from "./message-members.ts";
import type { KnownNames, Named } from "./rule-triggers.ts";
import type { Refuse, Template } from "./template.ts";

interface Making {
  /** The rule's id. */
  readonly rule: string;
  /** A value of the action as a template. */
  template(option: string): Template;
  readonly known: KnownNames;
  readonly refuse: Refuse;
}

export interface ActionKind {
  /** Of all that stands in `do`. */
  readonly schema: z.ZodType;
  readonly names?: Named;
  /** Whether it reads the event as it is, and not by templates. */
  whole?(action: never): boolean;
  /** Types of domain events that it emits. */
  emits?(action: never): readonly string[];
  handler(action: never, making: Making): Handler<AnyEvent>;
}

/** By the member of `do` that says which kind it is. */
export const actionKinds: Readonly<Record<string, ActionKind>> = {
  emit: kind({
    schema: z.strictObject({
      emit: z.string().regex(/^[^.]{1,200}\.[\s\S]{1,200}$/, { error: 'expected a type like "order.flagged"' }),
      key: z.string().default(""),
      data: z.unknown(),
    }),
    emits: ({ emit }) => [emit],
    handler: ({ emit }, { rule, template }) => {
      const [key, data] = [template("key"), template("data")];
      return (context) => {
        const { event, run } = context;
        const made = { key: textOf(key.render(event)), data: data.render(event) ?? null };
        return effectsOf(context).publish(emittedEvent(emit, { rule, event, run }, made));
      };
    },
  }),
  send: kind({
    schema: z.looseObject({ send: z.string() }),
    names: { option: "send", section: "endpoints" },
    whole: ({ send: _, ...members }) => Object.keys(members).length === 0,
    handler: ({ send: endpoint, ...members }, making) => {
      const names = Object.keys(members);
      const kindOf = making.known.kinds[endpoint] ?? "webhook";
      if (names.length === 0) return send(endpoint);
      refuseMembers(names, kindOf, making.refuse);
      const parts = names.map((name) => [name, making.template(name)] as const);
      const typed = TYPED.includes(kindOf) && !names.includes("type");
      return send(endpoint, ({ event }) => ({
        ...(typed && { type: (event as { readonly type?: string }).type }),
        ...Object.fromEntries(parts.map(([name, part]) => [name, part.render(event)])),
      }));
    },
  }),
};

/** Kinds of endpoints whose messages have a type: by default the event's. */
const TYPED: readonly string[] = ["webhook", "github"];

/** Where it is one template alone it may be a number. */
function textOf(key: unknown): string {
  return typeof key === "string" ? key : JSON.stringify(key);
}

function kind<Schema extends z.ZodType>(of: {
  readonly schema: Schema;
  readonly names?: Named;
  whole?(action: z.output<Schema>): boolean;
  emits?(action: z.output<Schema>): readonly string[];
  handler(action: z.output<Schema>, making: Making): Handler<AnyEvent>;
}): ActionKind {
  return of as ActionKind;
}
