// What must hold of plain delivery, whatever was killed, paused or lost: judged by what handlers noted and what the bus holds.

import { OBEY_MS } from "../../../src/event/control.ts";
import { endOf, fails, fateOf, leastMs, POLICY } from "./delivery-fate.ts";

/** A handler that was started. */
export interface Run {
  readonly sequence: number;
  readonly run: string | undefined;
  readonly attempt: number;
  readonly worker: string;
  readonly began: number;
  /** Undefined where its process was killed before. */
  ended: number | undefined;
}

export interface Span {
  readonly from: number;
  readonly to: number;
}

interface Process {
  readonly worker: string;
  readonly breaks: readonly number[];
  readonly killedAt: number;
}

export interface Evidence {
  /** What has to have come to its end, by run. */
  readonly due: ReadonlyMap<string | undefined, readonly number[]>;
  readonly runs: readonly Run[];
  readonly pauses: readonly Span[];
  readonly over: readonly Process[];
  readonly records: readonly { readonly subject: string; readonly body: Readonly<Record<string, unknown>> }[];
  readonly letters: readonly Readonly<Record<string, unknown>>[];
}

const nameOf = (sequence: unknown, run: unknown): string => `${sequence} in ${run ?? "its first run"}`;

/** The first thing that is wrong. */
export function verdict(evidence: Evidence): string | undefined {
  return wrongOutcome(evidence) ?? wrongLetter(evidence) ?? wrongRun(evidence) ?? begunInPause(evidence);
}

function outcomes({ records }: Evidence): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const found = new Map<string, Map<string, number>>();
  for (const { subject, body } of records) {
    const {
      sequence = 0,
      run,
      ranges = [[sequence, sequence]],
    } = body as {
      readonly sequence?: number;
      readonly run?: string;
      readonly ranges?: readonly (readonly [number, number])[];
    };
    const outcome = subject.split(".")[2] ?? "";
    for (const [first, last] of ranges) {
      for (let at = first; at <= last; at++) {
        const of = found.get(nameOf(at, run)) ?? new Map<string, number>();
        of.set(outcome, (of.get(outcome) ?? 0) + 1);
        found.set(nameOf(at, run), of);
      }
    }
  }
  return found;
}

function wrongOutcome(evidence: Evidence): string | undefined {
  const found = outcomes(evidence);
  for (const [run, sequences] of evidence.due) {
    for (const sequence of sequences) {
      const name = nameOf(sequence, run);
      if (![...(found.get(name)?.keys() ?? [])].some((outcome) => outcome !== "retried")) return `${name} has no end`;
    }
  }
  for (const [name, of] of found) {
    const { outcome, attempts } = endOf(Number.parseInt(name, 10));
    const finals = [...of.keys()].filter((one) => one !== "retried");
    if (finals.some((one) => one !== outcome)) return `${name} ended as ${finals.join()} instead of ${outcome}`;
    const retried = of.get("retried") ?? 0;
    if (finals.length > 0 && retried < attempts - 1) return `${name} was retried ${retried} times, as is on record`;
  }
  return undefined;
}

function wrongLetter({ letters }: Evidence): string | undefined {
  const seen = new Set<string>();
  for (const { event, run, reason, attempts } of letters) {
    const { sequence } = event as { readonly sequence: number };
    const name = nameOf(sequence, run);
    if (seen.has(name)) return `${name} is a dead letter twice`;
    seen.add(name);
    const end = endOf(sequence);
    if (end.reason !== reason || end.attempts !== attempts)
      return `${name} is dead as ${reason} after ${attempts} attempts instead of ${JSON.stringify(end)}`;
  }
  return undefined;
}

function wrongRun(evidence: Evidence): string | undefined {
  const byEvent = new Map<string, Run[]>();
  for (const one of evidence.runs) {
    const name = nameOf(one.sequence, one.run);
    byEvent.set(name, [...(byEvent.get(name) ?? []), one]);
  }
  const processOf = new Map(evidence.over.map((one) => [one.worker, one]));
  const endOfRun = ({ worker, ended }: Run): number => ended ?? processOf.get(worker)?.killedAt ?? Number.NaN;
  /** Whether nobody may have been told what came of it. */
  const mayBeLost = (run: Run, until: number): boolean => {
    const { killedAt = 0, breaks = [] } = processOf.get(run.worker) ?? {};
    return killedAt <= until || breaks.some((at) => at >= run.began && at <= until);
  };
  for (const [name, runs] of byEvent) {
    for (const [nth, run] of runs.entries()) {
      const before = runs.slice(0, nth);
      const last = before.at(-1);
      if (run.attempt > POLICY.retry.attempts) return `${name} had attempt ${run.attempt}`;
      if (last === undefined ? run.attempt !== 1 : run.attempt < last.attempt || run.attempt > last.attempt + 1)
        return `${name} had attempt ${run.attempt} behind ${last?.attempt ?? "none"}`;
      if (last === undefined) continue;
      if (before.some((one) => endOfRun(one) > run.began)) return `${name} ran twice at once at ${run.began}`;
      const fate = fateOf(last.sequence, last.attempt);
      if (run.attempt === last.attempt) {
        if (!mayBeLost(last, run.began)) return `${name} had attempt ${run.attempt} once more without a reason`;
      } else if (!fails(fate)) {
        return `${name} had attempt ${run.attempt} behind one that did not fail`;
      } else {
        const failed = Math.min(endOfRun(last), last.began + POLICY.timeoutMs);
        if (run.began < failed + leastMs(fate) - 1) return `${name} had attempt ${run.attempt} too soon`;
      }
    }
  }
  return undefined;
}

function begunInPause({ runs, pauses }: Evidence): string | undefined {
  const early = runs.find(({ began }) => pauses.some(({ from, to }) => began > from + OBEY_MS && began < to));
  return early && `${nameOf(early.sequence, early.run)} began at ${early.began} while it was paused`;
}
