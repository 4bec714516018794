// `{{ }}` in a rule: JSON pointers into the event, and nothing that runs.

import { Fatal } from "../automation/outcome/outcome.ts";
import { pointerParts, valueAt } from "../event/json-pointer.ts";

/** What is wrong with a template, and where in what was given. */
export type Refuse = (path: readonly PropertyKey[], message: string, hint: string) => Error;

/** A JSON pointer, as its parts. */
export type Pointer = readonly string[];

export interface Template {
  /** Parts of the event that it reads. */
  readonly pointers: readonly { readonly pointer: Pointer; readonly path: readonly PropertyKey[] }[];
  /** @throws Fatal where the event lacks what it reads, or the whole is too large */
  render(event: unknown): unknown;
}

/** What is made of one event; the bus takes no more in a message by default. */
const MAX_BYTES = 512 * 1024;

interface Budget {
  left: number;
}
type Render = (event: unknown, budget: Budget) => unknown;

/**
 * A value of a rule, with the templates in its texts. A text that is one template alone becomes the value itself, whatever it is;
 * inside of a longer text it becomes text.
 * @param path where the value stands in its rule
 * @throws what `refuse` makes
 */
export function compileTemplate(value: unknown, path: readonly PropertyKey[], refuse: Refuse): Template {
  const pointers: { readonly pointer: Pointer; readonly path: readonly PropertyKey[] }[] = [];
  const note = (pointer: Pointer, at: readonly PropertyKey[]): void => void pointers.push({ pointer, path: at });
  const render = compile(value, path, refuse, note);
  return { pointers, render: (event) => render(event, { left: MAX_BYTES }) };
}

function compile(
  value: unknown,
  path: readonly PropertyKey[],
  refuse: Refuse,
  note: (pointer: Pointer, path: readonly PropertyKey[]) => void,
): Render {
  if (typeof value === "string") return compileText(value, path, refuse, note);
  if (typeof value !== "object" || value === null) return () => value;
  if (Array.isArray(value)) {
    const items = value.map((item, nth) => compile(item, [...path, nth], refuse, note));
    return (event, budget) => items.map((item) => item(event, budget));
  }
  const members = Object.entries(value).map(([name, item]) => {
    if (name.includes("{{")) throw refuse([...path, name], "a member's name is no template", "write {{ }} in values");
    return [name, compile(item, [...path, name], refuse, note)] as const;
  });
  return (event, budget) => Object.fromEntries(members.map(([name, item]) => [name, item(event, budget)]));
}

/** `{{ /after/id }}`, `{{ /after/note or null }}`, `{{ "a text" }}` */
const TEMPLATE = /\{\{(.*?)\}\}/gs;

function compileText(
  text: string,
  path: readonly PropertyKey[],
  refuse: Refuse,
  note: (pointer: Pointer, path: readonly PropertyKey[]) => void,
): Render {
  const parts = text.split(TEMPLATE);
  const open = parts.find((part, nth) => nth % 2 === 0 && part.includes("{{"));
  if (open !== undefined)
    throw refuse(path, "a {{ has no }}", 'write {{ /after/id }}; for the braces themselves {{ "{{" }}');
  const renders = parts.map((part, nth): Render => {
    if (nth % 2 === 0) return () => part;
    return expression(part.trim(), path, refuse, note);
  });
  if (renders.length === 1) return () => text;
  const [, alone] = renders;
  if (renders.length === 3 && parts[0] === "" && parts[2] === "" && alone !== undefined)
    return (event, budget) => spent(alone(event, budget), budget);
  return (event, budget) => renders.map((render) => spent(asText(render(event, budget)), budget)).join("");
}

function expression(
  text: string,
  path: readonly PropertyKey[],
  refuse: Refuse,
  note: (pointer: Pointer, path: readonly PropertyKey[]) => void,
): Render {
  const literal = (json: string): unknown => {
    try {
      return JSON.parse(json);
    } catch {
      throw refuse(
        path,
        "a template holds neither a pointer nor a value of JSON",
        'write {{ /after/id }}, or {{ /after/note or "none" }}',
      );
    }
  };
  if (!text.startsWith("/")) {
    const value = literal(text);
    return () => value;
  }
  const [, pointerText = "", orElse] = /^(.*?)(?:\s+or\s+(.+))?$/s.exec(text) ?? [];
  if (/~(?![01])/.test(pointerText))
    throw refuse(path, `${pointerText} is no JSON pointer`, "in a JSON pointer ~ is written ~0, and / in a name ~1");
  const pointer = pointerParts(pointerText);
  note(pointer, path);
  const otherwise = orElse === undefined ? undefined : { value: literal(orElse) };
  return (event) => {
    const found = valueAt(event, pointer);
    if (found !== undefined) return found;
    if (otherwise !== undefined) return otherwise.value;
    throw new Fatal(`the event has no ${pointerText}, which the rule reads`);
  };
}

function asText(value: unknown): string {
  if (typeof value === "string") return value;
  return value === null ? "" : JSON.stringify(value);
}

/** A large value may be named many times. */
function spent<Value>(value: Value, budget: Budget): Value {
  budget.left -= typeof value === "string" ? value.length : JSON.stringify(value).length;
  if (budget.left < 0) throw new Fatal(`what the rule makes of the event is larger than ${MAX_BYTES} bytes`);
  return value;
}
