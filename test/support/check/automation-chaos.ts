// Judges what automations did under kills: each event has exactly its outcomes, each handler that had to end well did, the
// dead letters are exactly those that must be, and where order by key is asked for, it held. Pure.

import { type Fate, wholeFate } from "./automation-fate.ts";

/** An event of the stream. */
export interface ChaosEvent {
  readonly sequence: number;
  readonly id: string;
  readonly key: string;
  /** Of the row: by it some automations choose. */
  readonly kind: string;
}

/** A line of the handlers' ledger, in the order in which they were written by all processes. */
export interface LedgerLine {
  readonly what: "start" | "done" | "skipped" | "failed" | "fatal";
  readonly automation: string;
  readonly sequence: number;
  readonly attempt: number;
}

/** A record of the event log, its ranges as they are. */
export interface LogRecord {
  readonly automation: string;
  readonly outcome: string;
  readonly stream: string;
  readonly sequence?: number;
  readonly ranges?: readonly (readonly [number, number])[];
}

export interface Letter {
  readonly automation: string;
  readonly sequence: number;
  readonly reason: string;
}

export interface ChaosAutomation {
  readonly id: string;
  readonly attempts: number;
  readonly order: boolean;
  /** Whether it is asked about an event at all: else it is filtered. */
  readonly wants: (event: ChaosEvent) => boolean;
}

export interface ChaosEvidence {
  readonly events: readonly ChaosEvent[];
  readonly automations: readonly ChaosAutomation[];
  readonly ledger: readonly LedgerLine[];
  readonly letters: readonly Letter[];
  /** Undefined: it is not looked at. */
  readonly log: readonly LogRecord[] | undefined;
}

/** What is wrong, a line each; empty when all is as it must be. */
export function findChaos(evidence: ChaosEvidence): readonly string[] {
  return evidence.automations.flatMap((automation) => {
    const own = <Of extends { readonly automation: string }>(all: readonly Of[]): readonly Of[] =>
      all.filter((one) => one.automation === automation.id);
    const ledger = own(evidence.ledger);
    return [
      ...wrongRuns(automation, evidence.events, ledger),
      ...wrongLetters(automation, evidence.events, own(evidence.letters)),
      ...(automation.order ? wrongOrder(automation, evidence.events, ledger) : []),
      ...(evidence.log ? wrongOutcomes(automation, evidence.events, own(evidence.log)) : []),
    ];
  });
}

const fateIn = ({ id, attempts }: ChaosAutomation, event: ChaosEvent): Fate => wholeFate(id, event.id, attempts);

/** By the handlers' own ledger. */
function* wrongRuns(automation: ChaosAutomation, events: readonly ChaosEvent[], ledger: readonly LedgerLine[]) {
  const ends = new Map<number, Set<string>>();
  const started = new Map<number, number>();
  for (const { what, sequence, attempt } of ledger) {
    if (what === "start") started.set(sequence, Math.max(attempt, started.get(sequence) ?? 0));
    else ends.set(sequence, (ends.get(sequence) ?? new Set()).add(`${attempt} ${what}`));
  }
  for (const event of events) {
    const { sequence } = event;
    const at = `${automation.id} at ${sequence}`;
    if (!automation.wants(event)) {
      if (started.has(sequence)) yield `${at}: handled, though it is filtered`;
      continue;
    }
    const { outcome, reason, retried } = fateIn(automation, event);
    const last = retried + 1;
    const end = outcome === "dead" ? (reason === "fatal" ? "fatal" : "failed") : outcome;
    if (ends.get(sequence)?.has(`${last} ${end}`) !== true) yield `${at}: attempt ${last} never ended as ${end}`;
    if ((started.get(sequence) ?? 0) > last) yield `${at}: attempt ${started.get(sequence)} after the last one`;
  }
}

function* wrongLetters(automation: ChaosAutomation, events: readonly ChaosEvent[], letters: readonly Letter[]) {
  const found = new Map<number, string[]>();
  for (const { sequence, reason } of letters) found.set(sequence, [...(found.get(sequence) ?? []), reason]);
  for (const event of events) {
    const has = found.get(event.sequence) ?? [];
    found.delete(event.sequence);
    const reason = automation.wants(event) ? fateIn(automation, event).reason : undefined;
    const wanted = reason === undefined ? [] : [reason];
    if (has.join() !== wanted.join())
      yield `${automation.id} at ${event.sequence}: dead letters [${has}] where [${wanted}] must be`;
  }
  for (const sequence of found.keys()) yield `${automation.id} at ${sequence}: a dead letter of no event`;
}

/** The next of a key begins when the one before it has ended for good; what comes again comes before that. */
function* wrongOrder(automation: ChaosAutomation, events: readonly ChaosEvent[], ledger: readonly LedgerLine[]) {
  const bySequence = new Map(events.map((event) => [event.sequence, event]));
  const before = new Map<number, number>();
  const last = new Map<string, number>();
  for (const event of events.filter(automation.wants)) {
    const previous = last.get(event.key);
    if (previous !== undefined) before.set(event.sequence, previous);
    last.set(event.key, event.sequence);
  }
  const over = new Set<number>();
  const furthest = new Map<string, number>();
  for (const { what, sequence, attempt } of ledger) {
    const event = bySequence.get(sequence);
    if (event === undefined) {
      yield `${automation.id} at ${sequence}: a handler of no event`;
    } else if (what !== "start") {
      if (attempt === fateIn(automation, event).retried + 1) over.add(sequence);
    } else {
      const previous = before.get(sequence);
      if (previous !== undefined && !over.has(previous))
        yield `${automation.id} at ${sequence}: begun before ${previous} of the same key had ended`;
      const far = furthest.get(event.key) ?? 0;
      if (sequence < far) yield `${automation.id} at ${sequence}: handled again behind ${far} of the same key`;
      furthest.set(event.key, Math.max(far, sequence));
    }
  }
}

/** By the event log; the same outcome twice may come of a crash. */
function* wrongOutcomes(automation: ChaosAutomation, events: readonly ChaosEvent[], log: readonly LogRecord[]) {
  const found = new Map<number, Map<string, number>>();
  const sequences = events.map(({ sequence }) => sequence);
  const add = (sequence: number, outcome: string): void => {
    const of = found.get(sequence) ?? new Map<string, number>();
    found.set(sequence, of.set(outcome, (of.get(outcome) ?? 0) + 1));
  };
  for (const { outcome, sequence, ranges = [] } of log) {
    if (sequence !== undefined) add(sequence, outcome);
    for (const [first, to] of ranges)
      for (let at = lowerBound(sequences, first); (sequences[at] ?? Number.POSITIVE_INFINITY) <= to; at++)
        add(sequences[at] as number, outcome);
  }
  for (const event of events) {
    const has = found.get(event.sequence) ?? new Map<string, number>();
    const { outcome, retried } = automation.wants(event)
      ? fateIn(automation, event)
      : ({ outcome: "filtered", retried: 0 } as const);
    const wanted = [outcome, ...(retried > 0 ? ["retried"] : [])].sort();
    const at = `${automation.id} at ${event.sequence}`;
    if ([...has.keys()].sort().join() !== wanted.join())
      yield `${at}: outcomes [${[...has.keys()]}] where [${wanted}] must be`;
    else if ((has.get("retried") ?? 0) < retried)
      yield `${at}: ${has.get("retried")} of ${retried} retries are on record`;
  }
}

/** Where the first of the ascending numbers stands that is not below. */
function lowerBound(numbers: readonly number[], least: number): number {
  let [from, to] = [0, numbers.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((numbers[middle] as number) < least) from = middle + 1;
    else to = middle;
  }
  return from;
}
