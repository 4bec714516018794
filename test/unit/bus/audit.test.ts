// Events of a database that groups nothing, or not always: each stands by itself, and the audit tells what does not.

import { expect, test } from "vitest";
import { StreamAudit } from "../../../src/bus/jetstream/verify/audit.ts";
import type { AuditFinding } from "../../../src/bus/jetstream/verify/audit-finding.ts";
import type { SourceId } from "../../../src/event/source-id.ts";

type Lines = Readonly<Record<string, string | undefined>>;
type Event = readonly [position: string, lines?: Lines];

/** What is found of events of one partition after the other; each is told its place, and what else it says. */
function found(...events: readonly Event[]) {
  const findings: AuditFinding[] = [];
  const audit = new StreamAudit("shop" as SourceId, (finding) => findings.push(finding));
  let newest: string | undefined;
  for (const [nth, [position, more = {}]] of events.entries()) {
    const lines: Lines = {
      "ce-source": "/shop",
      "ce-id": `shop.${position.replace("+", "")}`,
      "Cdc-Pos": position,
      "Cdc-Prev": newest,
      ...more,
    };
    audit.see({
      sequence: nth + 1,
      subject: "cdc.shop.public.orders.created.p00",
      header: (name) => lines[name],
    });
    newest = position;
  }
  return { ...audit.counts, wrong: findings.map(({ code, sequence }) => [code, sequence]) };
}

test("events without a transaction pass, alone and between transactions", () => {
  const tx = (id: string, last?: "1"): Lines => ({ "Cdc-Tx": id, "Cdc-Tx-Last": last });
  expect(
    found(["1+"], ["2+"], ["3", tx("7")], ["4+", tx("7", "1")], ["5+"], ["6+", tx("8", "1")], ["7+", tx("9", "1")]),
  ).toMatchObject({ events: 7, transactions: 3, wrong: [] });
});

test("two partitions without transactions pass side by side", () => {
  const [a, b] = [{ "Cdc-Part": "a" }, { "Cdc-Part": "b" }];
  expect(found(["1+", a], ["8+", b], ["2+", a], ["3+", a], ["9+", b])).toMatchObject({ events: 5, wrong: [] });
});

test.each<readonly [string, readonly Event[], readonly (readonly [string, number])[]]>([
  ["whose position has no +", [["1"], ["2+"]], [["HEADERS_MISSING", 1]]],
  ["that says it is the last of one", [["1+", { "Cdc-Tx-Last": "1" }]], [["TRANSACTION_MARKS", 1]]],
  ["inside of one that has not ended", [["1", { "Cdc-Tx": "7" }], ["2+"], ["3+"]], [["TRANSACTION_TORN", 2]]],
])("an event without a transaction %s is found", (_, events, wrong) => {
  expect(found(...events).wrong).toEqual(wrong);
});

test("ids that are not made of positions need not rise, and may name several transactions alike; a place is an event's own", () => {
  const tx = (id: string, last?: "1"): Lines => ({ "ce-id": id, "Cdc-Tx": "s:1", "Cdc-Tx-Last": last });
  expect(
    found(
      ["1+", { "ce-id": "z" }],
      ["2+", { "ce-id": "a" }],
      ["3+", tx("y", "1")],
      ["4", tx("b")],
      ["5+", tx("x", "1")],
    ).wrong,
  ).toEqual([]);
  expect(found(["1+", { "ce-id": "a" }], ["1+", { "ce-id": "b" }]).wrong).toEqual([["EVENT_REPEATED", 2]]);
});
