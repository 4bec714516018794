// The judge of automations under kills finds each kind of fault, and nothing where all is right.

import { expect, test } from "vitest";
import {
  type ChaosAutomation,
  type ChaosEvent,
  type ChaosEvidence,
  findChaos,
  type LedgerLine,
  type Letter,
  type LogRecord,
} from "../../support/check/automation-chaos.ts";
import { fateOf, wholeFate } from "../../support/check/automation-fate.ts";

const attempts = 3;
const automations: readonly ChaosAutomation[] = [
  { id: "flaky", attempts, order: false, wants: () => true },
  { id: "ordered", attempts, order: true, wants: ({ kind }) => kind === "a" },
];

/** All as it must be: one event behind the other, so that there is order, too. */
function right(): {
  events: ChaosEvent[];
  automations: readonly ChaosAutomation[];
  ledger: LedgerLine[];
  letters: Letter[];
  log: LogRecord[];
} {
  const events = Array.from({ length: 3000 }, (_, n) => ({
    ...{ sequence: 10 + 2 * n, id: `shop.${n}`, key: String(n % 5), kind: n % 3 === 0 ? "b" : "a" },
  }));
  const [ledger, letters, log]: [LedgerLine[], Letter[], LogRecord[]] = [[], [], []];
  for (const { id: automation, wants } of automations) {
    const done: [number, number][] = [];
    for (const event of events) {
      const { sequence, id } = event;
      const about = { automation, stream: "CDC_SHOP" };
      if (!wants(event)) {
        log.push({ ...about, outcome: "filtered", ranges: [[sequence, sequence]] });
        continue;
      }
      const { outcome, reason, retried } = wholeFate(automation, id, attempts);
      for (let attempt = 1; attempt <= retried + 1; attempt++) {
        ledger.push({ what: "start", automation, sequence, attempt });
        ledger.push({ what: fateOf(automation, id, attempt), automation, sequence, attempt });
        if (attempt <= retried) log.push({ ...about, outcome: "retried", sequence });
      }
      if (reason !== undefined) letters.push({ automation, sequence, reason });
      if (outcome === "done") done.push([sequence, sequence + 1]);
      else log.push({ ...about, outcome, sequence });
    }
    log.push({ automation, stream: "CDC_SHOP", outcome: "done", ranges: done });
  }
  return { events, automations, ledger, letters, log };
}

type Evidence = ReturnType<typeof right>;
const firstOf = <Of>(all: readonly Of[], is: (one: Of) => boolean): number => {
  const at = all.findIndex(is);
  return at < 0 ? expect.unreachable("the evidence has none") : at;
};

test("finds nothing where all is right", () => {
  const evidence = right();

  expect(findChaos(evidence)).toEqual([]);
  expect(new Set(evidence.letters.map(({ automation, reason }) => `${automation} ${reason}`)).size).toBe(4);
});

test("takes what a kill makes happen again: an attempt that is made again, an outcome that is told again", () => {
  const evidence = right();
  const at = firstOf(evidence.ledger, ({ automation }) => automation === "ordered");
  const { what: _, ...again } = evidence.ledger[at] as LedgerLine;
  evidence.ledger.splice(at, 0, { what: "start", ...again });
  evidence.log.push({ ...(evidence.log.find(({ outcome }) => outcome === "retried") as LogRecord) });

  expect(findChaos(evidence)).toEqual([]);
});

const faults: readonly (readonly [string, (evidence: Evidence) => void])[] = [
  [
    "never ended as done",
    ({ ledger }) =>
      ledger.splice(
        firstOf(ledger, ({ what }) => what === "done"),
        1,
      ),
  ],
  ["after the last one", ({ ledger }) => ledger.push({ ...(ledger.at(-1) as LedgerLine), what: "start", attempt: 9 })],
  [
    "handled, though it is filtered",
    ({ ledger }) => ledger.push({ what: "start", automation: "ordered", sequence: 10, attempt: 1 }),
  ],
  ["dead letters [] where", ({ letters }) => letters.splice(0, 1)],
  [
    "dead letters [fatal,fatal]",
    ({ letters }) => letters.push(letters.find((one) => one.reason === "fatal") as Letter),
  ],
  [
    "dead letters [exhausted] where [fatal]",
    ({ letters }) => {
      const at = firstOf(letters, ({ reason }) => reason === "fatal");
      letters[at] = { ...(letters[at] as Letter), reason: "exhausted" };
    },
  ],
  ["a dead letter of no event", ({ letters }) => letters.push({ automation: "flaky", sequence: 1, reason: "fatal" })],
  [
    "of the same key had ended",
    ({ ledger }) => {
      const at = ledger.findLastIndex(({ automation, what }) => automation === "ordered" && what === "start");
      const [start] = ledger.splice(at, 1);
      ledger.splice(
        firstOf(ledger, ({ automation }) => automation === "ordered"),
        0,
        start as LedgerLine,
      );
    },
  ],
  [
    "handled again behind",
    ({ ledger }) => ledger.push(ledger.find((one) => one.automation === "ordered") as LedgerLine),
  ],
  [
    "] where [retried,skipped]",
    ({ log }) =>
      log.splice(
        firstOf(log, ({ outcome }) => outcome === "skipped"),
        1,
      ),
  ],
  [
    "skipped] where [done",
    ({ log }) => {
      const done = log[firstOf(log, ({ outcome }) => outcome === "done")]?.ranges?.[0]?.[0];
      log.push({ automation: "flaky", stream: "CDC_SHOP", outcome: "skipped", sequence: Number(done) });
    },
  ],
  [
    "outcomes [] where [filtered]",
    ({ log }) =>
      log.splice(
        firstOf(log, ({ outcome }) => outcome === "filtered"),
        1,
      ),
  ],
  [
    "retries are on record",
    ({ log, letters }) => {
      const { sequence } = letters.find((one) => one.reason === "exhausted") as Letter;
      log.splice(
        firstOf(log, (one) => one.outcome === "retried" && one.sequence === sequence),
        1,
      );
    },
  ],
  [
    "outcomes [] where [dead] must be",
    ({ log }) =>
      log.splice(
        firstOf(log, ({ outcome }) => outcome === "dead"),
        1,
      ),
  ],
];

test.each(faults)("finds %j", (message, breakIt) => {
  const evidence = right();
  breakIt(evidence);

  expect(findChaos(evidence as ChaosEvidence).join("\n")).toContain(message);
});
