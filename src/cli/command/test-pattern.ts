// `millrace test-pattern`: whether events match a pattern, or an automation's `where`, and which clause failed.

import type { Automation } from "../../automation/define/automation.ts";
import { type CompiledPattern, compile, shapeOf } from "../../automation/pattern/compile-pattern.ts";
import { type ClauseOutcome, explain, type PatternExplanation } from "../../automation/pattern/explain-pattern.ts";
import { subjectFilters } from "../../automation/pattern/subject-filters.ts";
import { ConfigError } from "../../errors.ts";
import type { JsonSchema } from "../../event/collection-schema.ts";
import { isDomainSubject, parseDomainEvent } from "../../event/parse-domain-event.ts";
import { parseEvent, type StoredMessage } from "../../event/parse-event.ts";
import { columnKinds } from "../../schema/column-kinds.ts";
import { readConfig } from "../common/load-config.ts";
import { isTailed, messageOf, parseEvents, parseJson, readInput } from "../common/stored-events.ts";
import { paint, printable } from "../common/terminal.ts";

export interface TestPatternOptions {
  /** A pattern, or the file that it is in; undefined with `automation`. */
  readonly pattern?: string | undefined;
  /** Whose `where` it is, instead. */
  readonly automation?: string | undefined;
  readonly config?: string | undefined;
  /** A file with events; `-` for what comes in. */
  readonly event: string;
  /** What `millrace types` wrote of the columns, and which of its collections the events are of. */
  readonly schema?: string | undefined;
  readonly collection?: string | undefined;
  readonly json: boolean;
  readonly print: (line: string) => Promise<void>;
}

/** How one event stands to it. */
type Explain = (event: unknown) => PatternExplanation;

const NO_TRIGGER: PatternExplanation = { matches: false, alternatives: 0, clauses: [] };
const paints = paint(process.stdout);

/** Resolves to whether all events match. @throws ConfigError */
export async function testPattern(options: TestPatternOptions): Promise<boolean> {
  const { pattern, automation, event: file, json, print } = options;
  if ((pattern === undefined) === (automation === undefined)) {
    throw new ConfigError("CLI_USAGE", "test-pattern takes a pattern or --automation", {
      hint: "give it one of the two",
    });
  }
  const explainOne =
    automation === undefined ? await ofPattern(options, pattern ?? "") : await ofAutomation(options, automation);
  let all = true;
  for (const event of parseEvents(await readInput(file), file)) {
    const explanation = explainOne(event);
    all &&= explanation.matches;
    for (const line of json ? [jsonOf(explanation)] : textOf(explanation)) await print(line);
  }
  return all;
}

async function ofPattern({ schema, collection, json, print }: TestPatternOptions, written: string): Promise<Explain> {
  const text = written.trimStart().startsWith("{") ? written : await readInput(written);
  const compiled = compile(
    parseJson(text, text === written ? "the pattern" : written),
    await shape(schema, collection),
  );
  if (!json) await print(`changes that it can match: ${subjectFilters(compiled).join(", ")}`);
  return (event) => explain(compiled, isTailed(event) ? eventOf(messageOf(event)) : event);
}

function eventOf(message: StoredMessage): unknown {
  return isDomainSubject(message.subject) ? parseDomainEvent(message) : parseEvent(message);
}

/** What is known of the rows of one collection. */
async function shape(file: string | undefined, collection: string | undefined): Promise<ReturnType<typeof shapeOf>> {
  if (file === undefined) return {};
  const { $defs = {} } = parseJson(await readInput(file), file) as { $defs?: Readonly<Record<string, JsonSchema>> };
  const row = collection === undefined ? undefined : $defs[collection];
  if (row === undefined) {
    throw new ConfigError("CLI_USAGE", `${file} has no collection ${collection ?? "without --collection"}`, {
      hint: `write --collection with one of ${Object.keys($defs).join(", ")}`,
    });
  }
  const { properties = {}, additionalProperties } = row as {
    properties?: Readonly<Record<string, JsonSchema>>;
    additionalProperties?: unknown;
  };
  return shapeOf({ columns: columnKinds(properties), open: additionalProperties !== false });
}

async function ofAutomation({ config }: TestPatternOptions, id: string): Promise<Explain> {
  const { automations = [] } = (await readConfig(config, true)) as { automations?: readonly Automation[] };
  const found = automations.find((one) => one.id === id);
  if (found === undefined) {
    throw new ConfigError("AUTOMATION_UNKNOWN", `the configuration has no automation ${id}`, {
      hint: `it has ${automations.map((one) => one.id).join(", ") || "none"}`,
    });
  }
  return (event) => {
    if (!isTailed(event)) {
      throw new ConfigError("INPUT_UNREADABLE", "an automation is tested with lines of `millrace tail --json`", {
        hint: "its triggers go by the subject; or give the pattern itself",
      });
    }
    const message = messageOf(event);
    const outcomes = found.triggers.flatMap((trigger) => {
      const decoded = trigger.decode(message);
      return decoded === undefined || !trigger.match(decoded)
        ? []
        : explained(found.where?.get(trigger)?.compiled, decoded);
    });
    return outcomes.find(({ matches }) => matches) ?? outcomes[0] ?? NO_TRIGGER;
  };
}

function explained(pattern: CompiledPattern | undefined, event: unknown): PatternExplanation {
  return pattern === undefined ? { matches: true, alternatives: 0, clauses: [] } : explain(pattern, event);
}

function jsonOf(explanation: PatternExplanation): string {
  return JSON.stringify(explanation, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

function textOf({ matches, clauses }: PatternExplanation): readonly string[] {
  if (clauses.length === 0)
    return [matches ? "it matches: there is no where" : "no match: no trigger takes this event"];
  const failed = clauses.filter(({ outcome }) => outcome !== "matches").length;
  const width = Math.max(...clauses.map(({ place }) => place.length));
  return [
    matches ? "it matches" : `no match: ${failed} of ${clauses.length} clauses ${failed === 1 ? "fails" : "fail"}`,
    ...clauses.map((clause) => {
      const sign = clause.outcome === "matches" ? paints("green", "ok  ") : paints("red", "FAIL");
      return printable(`${clause.place.padEnd(width)}  ${JSON.stringify(clause.expected)}  ${why(clause)}`)
        .replace(/^/, `  ${sign}  `)
        .trimEnd();
    }),
  ];
}

function why({ outcome, found }: ClauseOutcome): string {
  if (outcome === "matches") return "";
  if (outcome === "missing") return "has no value";
  const values = found.map((value) => (typeof value === "bigint" ? String(value) : JSON.stringify(value))).join(", ");
  return outcome === "differs" ? `is ${values}` : `is ${values}, but in another element than the clauses above`;
}
