// Rules without code: each becomes the automation that code would have made, with the same checks, limits and dead letters.

import { z } from "zod";
import { type Automation, type AutomationOptions, automation, type Handler } from "../automation/define/automation.ts";
import type { Image, Trigger } from "../automation/define/trigger.ts";
import { nearest } from "../config/nearest.ts";
import { firstFault } from "../config/parse.ts";
import { ConfigError } from "../errors.ts";
import { type ActionKind, actionKinds } from "./rule-actions.ts";
import { readRuleFile, ruleInvalid, type WrittenRule } from "./rule-file.ts";
import { type KnownNames, type Named, type TriggerKind, triggerKinds } from "./rule-triggers.ts";
import { compileTemplate, type Refuse, type Template } from "./template.ts";

/** A file as it was read. */
export interface RuleFile {
  /** As it is to be named. */
  readonly file: string;
  readonly bytes: Uint8Array;
}

/** A rule as an automation, and where it is written. */
export interface CompiledRule {
  readonly automation: Automation;
  /** `rules/paid.yaml:1:5` */
  readonly place: string;
}

const PAGE = "docs/rules.md";

/** Values of the options are checked where an automation's are. */
const ruleSchema = z.strictObject({
  id: z.string(),
  on: z.custom<object>((value) => typeof value === "object" && value !== null, {
    error: "expected what it waits for, like { source: shop, collection: public.orders, op: created }",
  }),
  where: z.unknown().optional(),
  do: z.custom<object>((value) => typeof value === "object" && value !== null && !Array.isArray(value), {
    error: 'expected what it does, like { emit: order.flagged, data: { id: "{{ /after/id }}" } }',
  }),
  ...{ retry: z.unknown().optional(), timeout: z.unknown().optional(), concurrency: z.unknown().optional() },
  ...{ order: z.unknown().optional(), onExhausted: z.unknown().optional(), start: z.unknown().optional() },
  ...{ onGap: z.unknown().optional(), cycles: z.unknown().optional(), shadow: z.unknown().optional() },
  includeBackfill: z.unknown().optional(),
});

/**
 * The rules of all files as automations.
 * @throws ConfigError `RULE_INVALID` with file and line; `AUTOMATION_DUPLICATE` for two rules of one id
 */
export function compileRules(files: readonly RuleFile[], known: KnownNames): readonly CompiledRule[] {
  const rules = new Map<string, CompiledRule>();
  for (const { file, bytes } of files) {
    for (const written of readRuleFile(bytes, file)) {
      const rule = compileRule(written, known);
      const { id } = rule.automation;
      const other = rules.get(id);
      if (other !== undefined) {
        throw new ConfigError(
          "AUTOMATION_DUPLICATE",
          `two rules are named ${JSON.stringify(id)}: ${other.place} and ${rule.place}`,
          {
            hint: "Give one of them another id; the id is its durable's name.",
          },
        );
      }
      rules.set(id, rule);
    }
  }
  return [...rules.values()];
}

function compileRule(written: WrittenRule, known: KnownNames): CompiledRule {
  const refuse: Refuse = (path, message, hint) => ruleInvalid(written.place(path), message, hint);
  const { id, on, do: does, where, ...options } = fitting(ruleSchema, written.value, [], refuse);
  const { kind: action, value: wanted } = chosen(actionKinds, does, ["do"], known, refuse);
  const templates = new Map<string, Template>();
  const template = (option: string): Template => {
    const made = compileTemplate((wanted as Readonly<Record<string, unknown>>)[option], ["do", option], refuse);
    templates.set(option, made);
    return made;
  };
  const handler = (action as ActionKind).handler(wanted as never, { rule: id, template, known, refuse });
  const read = [...templates.values()].flatMap(({ pointers }) => pointers);
  const whole = action.whole?.(wanted as never) ?? false;
  const images = (["before", "after"] as const satisfies readonly Image[]).filter((image) =>
    whole ? image === "after" : read.some(({ pointer: [first] }) => first === image),
  );
  const list = Array.isArray(on) ? on : [on];
  try {
    const triggers = list.flatMap((one: unknown, nth): readonly Trigger[] => {
      const path = Array.isArray(on) ? ["on", nth] : ["on"];
      const { kind, value } = chosen(triggerKinds, one, path, known, refuse);
      return (kind as TriggerKind).triggers(value as never, images);
    });
    for (const { shape: { fields } = {} } of triggers) {
      for (const {
        pointer: [first = ""],
        path,
      } of read) {
        if (fields?.includes(first) !== false) continue;
        const meant = nearest(first, fields);
        throw refuse(
          path,
          `an event of this kind has no /${first}`,
          meant === undefined ? `it has ${fields.join(", ")}` : `did you mean /${meant}?`,
        );
      }
    }
    const compiled = automation(
      id,
      { ...(options as Partial<AutomationOptions<Trigger>>), on: triggers, where: where as never },
      handler as Handler<unknown>,
    );
    const emits = action.emits?.(wanted as never) ?? [];
    return { automation: Object.freeze({ ...compiled, emits }), place: written.place(["id"]) };
  } catch (error) {
    if (!(error instanceof ConfigError) || error.code === "RULE_INVALID") throw error;
    throw ruleInvalid(written.place(pathIn(error.message, id)), error.message, error.hint ?? `see ${PAGE}`);
  }
}

/** What an error of the automation is about, as far as its text begins with that: `paid: where.after.total: …`. */
function pathIn(message: string, id: string): readonly string[] {
  const text = message.startsWith(`${id}: `) ? message.slice(id.length + 2) : message;
  const [path = ""] = /^[\w$.-]+/.exec(text) ?? [];
  return path.split(".");
}

function fitting<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  path: readonly PropertyKey[],
  refuse: Refuse,
): z.output<Schema> {
  const fitted = firstFault(schema, value, PAGE);
  if (fitted.fault === undefined) return fitted.data;
  const { keys, reason, hint } = fitted.fault;
  const name = keys.map(String).join(".");
  throw refuse([...path, ...keys], name === "" ? reason : `${name}: ${reason}`, hint);
}

/** Which kind it is, by the one member that says so, checked by its schema and held against the configuration. */
function chosen<Kind extends { readonly schema: z.ZodType; readonly names?: Named }>(
  kinds: Readonly<Record<string, Kind>>,
  value: unknown,
  path: readonly PropertyKey[],
  known: KnownNames,
  refuse: Refuse,
): { readonly kind: Kind; readonly value: unknown } {
  const names = Object.keys(typeof value === "object" && value !== null ? value : {});
  const named = Object.keys(kinds).filter((name) => names.includes(name));
  const [only] = named;
  if (only === undefined || named.length > 1) {
    const all = Object.keys(kinds).join(", ");
    throw refuse(
      path,
      named.length > 1 ? `it says both ${named.join(" and ")}` : "it does not say what",
      `write one of ${all}`,
    );
  }
  const kind = kinds[only] as Kind;
  const fitted = fitting(kind.schema, value, path, refuse);
  if (kind.names === undefined) return { kind, value: fitted };
  const { option, section } = kind.names;
  const name = String((fitted as Readonly<Record<string, unknown>>)[option]);
  if (known[section].includes(name)) return { kind, value: fitted };
  const meant = nearest(name, known[section]);
  throw refuse(
    [...path, option],
    `the configuration has no ${JSON.stringify(name)} under ${section}`,
    meant === undefined ? `it has ${known[section].join(", ") || "none"}` : `did you mean ${JSON.stringify(meant)}?`,
  );
}
