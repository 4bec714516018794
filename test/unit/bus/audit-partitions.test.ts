// `millrace verify` on a stream of many partitions that come out of each other, as DynamoDB's shards do: every single loss, repetition and
// exchange is tried on it.

import { expect, test } from "vitest";
import { StreamAudit } from "../../../src/bus/jetstream/verify/audit.ts";
import type { AuditFinding } from "../../../src/bus/jetstream/verify/audit-finding.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { partitionOf } from "../../../src/source/dynamodb/client/partition.ts";
import { EventIds, PositionFormat, Step } from "../../../src/source/dynamodb/client/position.ts";

interface Message {
  readonly subject: string;
  readonly lines: Readonly<Record<string, string>>;
  readonly about?: Readonly<Record<string, unknown>>;
}

const LABEL = "2026-01-01T00:00:00.000";
const ids = new EventIds("shop", "arn:of:the-stream");

function place(shard: string): { readonly partition: string; readonly positions: PositionFormat } {
  const partition = partitionOf({ table: "acc.lines_2", label: LABEL, shard });
  return { partition, positions: new PositionFormat(partition) };
}

function marker(state: "begins" | "ends", shard: string, number: string | undefined, more: object): Message {
  const { partition, positions } = place(shard);
  const step = state === "begins" ? Step.opened : Step.ended;
  const position = positions.format({ number, step });
  return {
    subject: "meta.shop.shard",
    lines: { "ce-id": `shop.shard.${position.slice(0, -1)}`, "Cdc-Part": partition, "Cdc-Pos": position },
    about: { state, table: "acc.lines_2", stream: LABEL, shard, ...more },
  };
}

function change(shard: string, number: string): Message {
  const { partition, positions } = place(shard);
  return {
    subject: "cdc.shop._.acc~2Elines_2.updated.p00",
    lines: {
      ...{ "ce-id": ids.of(number), "Cdc-Part": partition },
      "Cdc-Pos": positions.format({ number, step: Step.record }),
    },
  };
}

/** A shard that splits, a child that rolls, and the other one that goes on beside it. */
const healthy: readonly Message[] = [
  marker("begins", "shardId-1", undefined, { parent: null }),
  change("shardId-1", "99"),
  change("shardId-1", "100"),
  marker("ends", "shardId-1", "100", { children: ["shardId-2", "shardId-3"] }),
  marker("begins", "shardId-3", undefined, { parent: "shardId-1" }),
  change("shardId-3", "205"),
  marker("begins", "shardId-2", undefined, { parent: "shardId-1" }),
  change("shardId-2", "201"),
  change("shardId-3", "206"),
  change("shardId-2", "202"),
  marker("ends", "shardId-2", "202", { children: ["shardId-4"] }),
  change("shardId-3", "207"),
  marker("begins", "shardId-4", undefined, { parent: "shardId-2" }),
  change("shardId-4", "301"),
  marker("ends", "shardId-4", "301", { children: [] }),
];

/** As a writer that did not know better would have stored them: each names the one before it. */
function linked(messages: readonly Message[]): readonly Message[] {
  return messages.map((message, nth) => {
    const previous = messages[nth - 1]?.lines["Cdc-Pos"];
    return { ...message, lines: { ...message.lines, ...(previous && { "Cdc-Prev": previous }) } };
  });
}

/** Codes of what is found, once each. */
function found(messages: readonly Message[]): readonly string[] {
  const findings: AuditFinding[] = [];
  const audit = new StreamAudit("shop" as SourceId, (finding) => findings.push(finding));
  for (const [nth, { subject, lines, about }] of messages.entries()) {
    const all: Readonly<Record<string, string>> = { "ce-source": "/shop", ...lines };
    audit.see({ sequence: nth + 1, subject, header: (name) => all[name] }, about);
  }
  audit.end();
  return [...new Set(findings.map(({ code }) => code))].sort();
}

const partOf = (nth: number): string | undefined => healthy[nth]?.lines["Cdc-Part"];
const numbers = healthy.map((_, nth) => nth);

test("a healthy stream with a split and a roll is fine, from whichever message on it is walked", () => {
  for (const nth of numbers) expect(found(linked(healthy).slice(nth))).toEqual([]);
});

test.each(numbers.slice(1, -1))("message %i, lost, leaves a broken chain", (nth) => {
  expect(found(linked(healthy).toSpliced(nth, 1))).toContain("CHAIN_BROKEN");
});

test.each(numbers)("message %i, stored again at any later place, is found", (nth) => {
  for (let at = nth + 1; at <= healthy.length; at++) {
    const again = healthy[nth] as Message;
    // A marker that is repeated before anything else of its shard has come says nothing new.
    const isMarker = again.about !== undefined;
    const between = healthy.slice(nth + 1, at).some(({ lines }) => lines["Cdc-Part"] === partOf(nth));
    if (isMarker && !between) continue;
    const wrong = found(linked(healthy.toSpliced(at, 0, again)));
    expect(wrong, `at ${at}`).not.toEqual([]);
  }
});

test("two messages of one shard that are exchanged are found, wherever they stand", () => {
  for (const a of numbers)
    for (const b of numbers.slice(a + 1)) {
      if (partOf(a) !== partOf(b)) continue;
      const messages = [...healthy];
      [messages[a], messages[b]] = [messages[b] as Message, messages[a] as Message];
      expect(found(linked(messages)), `${a} and ${b}`).not.toEqual([]);
    }
});

test("what comes of other shards at another time is no fault", () => {
  const messages = [...healthy];
  [messages[7], messages[8]] = [messages[8] as Message, messages[7] as Message];
  expect(found(linked(messages))).toEqual([]);
});

test("a child that begins before its parent has ended is found, and what stands behind the end of a shard", () => {
  const early = healthy.toSpliced(4, 1).toSpliced(2, 0, healthy[4] as Message);
  expect(found(linked(early))).toEqual(["PARTITION_EARLY"]);
  const late = healthy.toSpliced(5, 0, change("shardId-1", "150"));
  expect(found(linked(late))).toEqual(["PARTITION_ENDED"]);
});
