// What a rule may do. A further action is one entry of the table.

import { z } from "zod";
import type { Handler } from "../automation/define/automation.ts";
import { effectsOf } from "../automation/define/effects.ts";
import type { AnyEvent } from "../automation/define/trigger.ts";
import { emittedEvent } from "./emitted-event.ts";
import type { Named } from "./rule-triggers.ts";
import type { Template } from "./template.ts";

interface Making {
  /** The rule's id. */
  readonly rule: string;
  /** A value of the action as a template. */
  template(option: string): Template;
}

export interface ActionKind {
  /** Of all that stands in `do`. */
  readonly schema: z.ZodType;
  readonly names?: Named;
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
};

/** Where it is one template alone it may be a number. */
function textOf(key: unknown): string {
  return typeof key === "string" ? key : JSON.stringify(key);
}

function kind<Schema extends z.ZodType>(of: {
  readonly schema: Schema;
  readonly names?: Named;
  emits?(action: z.output<Schema>): readonly string[];
  handler(action: z.output<Schema>, making: Making): Handler<AnyEvent>;
}): ActionKind {
  return of as ActionKind;
}
