// What must hold of the stream of any source, whatever has happened to it.

import { expect } from "vitest";
import { StreamAudit } from "../../../src/bus/jetstream/verify/audit.ts";
import { type PlainPositions, positionsFrom } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { StreamEvent } from "../../support/bus/stream-events.ts";
import type { Shop } from "./source-ground.ts";
import { byLine, keyOf } from "./source-reading.ts";

export function changesOf(stream: readonly StreamEvent[]): readonly StreamEvent[] {
  return stream.filter(({ subject }) => subject.startsWith("cdc."));
}

/** Markers of one kind. */
export function markersOf(stream: readonly StreamEvent[], kind: string): readonly StreamEvent[] {
  return stream.filter(({ subject }) => subject.startsWith("meta.") && subject.endsWith(`.${kind}`));
}

/** Keys of the changed rows, line by line, in the stream's order. */
export function changedKeys(stream: readonly StreamEvent[], { keys }: Pick<Shop, "keys">): readonly string[][] {
  return byLine(
    changesOf(stream).map(({ text }) => keyOf(text)),
    keys.length,
  );
}

/** It has all that was committed. */
export function expectWhole(stream: readonly StreamEvent[], shop: Shop): void {
  expect(changedKeys(stream, shop)).toEqual(shop.keys);
  expect(wrongIn(stream, shop)).toEqual([]);
}

/** What is wrong with a stream by itself; none where all is right. */
export function wrongIn(stream: readonly StreamEvent[], { id }: { readonly id: SourceId }): readonly string[] {
  return [...audited(stream, id), ...repeated(stream), ...torn(stream), ...undescribed(stream)];
}

/** By the audit of `millrace verify`. */
function audited(stream: readonly StreamEvent[], id: SourceId): readonly string[] {
  const wrong: string[] = [];
  const audit = new StreamAudit(id, ({ code, sequence, what }) => wrong.push(`${code} at ${sequence}: ${what}`));
  for (const message of stream) {
    const [kind, , marker = ""] = message.subject.split(".");
    if (kind === "meta" && (marker === "history" || marker === "gap")) {
      const { lost, resume } = JSON.parse(message.text) as {
        readonly lost?: unknown;
        readonly resume?: PlainPositions;
      };
      audit.turn(lost === undefined ? undefined : resume === undefined ? null : positionsFrom(resume));
    }
    audit.see(message, marker === "shard" ? JSON.parse(message.text) : undefined);
  }
  audit.end();
  return wrong;
}

/** No two events have an id or a position in common, in whichever partitions. */
function repeated(stream: readonly StreamEvent[]): readonly string[] {
  const seen = new Set<string>();
  return changesOf(stream).flatMap(({ sequence, header }) =>
    ["ce-id", "Cdc-Pos"].flatMap((name) => {
      const text = `${name} ${header(name)}`;
      if (seen.has(text)) return [`${text} is there again at ${sequence}`];
      seen.add(text);
      return [];
    }),
  );
}

/** Between the events of a transaction stands nothing of another one, and none is there without its last. */
function torn(stream: readonly StreamEvent[]): readonly string[] {
  let open: string | undefined;
  const wrong = changesOf(stream).flatMap(({ sequence, header }) => {
    const transaction = header("Cdc-Tx") && `${header("Cdc-Part") ?? ""}/${header("Cdc-Tx")}`;
    const faults = open !== undefined && transaction !== open ? [`${open} is torn at ${sequence}`] : [];
    const whole = header("Cdc-Pos")?.endsWith("+") === true;
    open = whole ? undefined : (transaction ?? "an event by itself, without a +,");
    return faults;
  });
  return open === undefined ? wrong : [...wrong, `${open} has no end`];
}

/** Each version that changes are of was announced before them, and is the newest one of their collection. */
function undescribed(stream: readonly StreamEvent[]): readonly string[] {
  const newest = new Map<string, string>();
  return stream.flatMap(({ sequence, subject, header, text }) => {
    const [kind, , namespace, collection] = subject.split(".");
    if (kind === "meta" && namespace === "schema") {
      const announced = JSON.parse(text) as {
        readonly version: string;
        readonly namespace: string;
        readonly collection: string;
      };
      newest.set(`${announced.namespace}.${announced.collection}`, announced.version);
    }
    const version = header("ce-dataschema")?.split("/").at(-1);
    if (kind !== "cdc" || version === undefined) return [];
    const told = newest.get(`${namespace}.${collection}`);
    return told === version ? [] : [`${sequence} is of ${version}, and announced is ${told}`];
  });
}
