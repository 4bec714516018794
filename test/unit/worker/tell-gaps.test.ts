// What the worker does with a gap that a source hands out: told before its marker goes on, and neither where the stream has it.

import { expect, test } from "vitest";
import type { Position } from "../../../src/event/position.ts";
import type { Marker } from "../../../src/event/source-event.ts";
import type { SourceGap } from "../../../src/event/system-event.ts";
import type { Commit } from "../../../src/source/source.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { tellGaps } from "../../../src/worker/tell-gaps.ts";

const at = "0001.0000000000000010.0000000000000010.m000000+" as Position;
const commit: Commit = { type: "commit", position: at };

function gapOf(id: string): Marker & { readonly gap: SourceGap } {
  const gap = { code: "TABLE_ADDED", reason: "it came", collections: ["public.a"], after: null, upTo: at };
  return { type: "marker", kind: "gap", id, transaction: undefined, position: at, data: Buffer.from("{}"), gap };
}

/** @param newest id of the newest gap that the stream holds */
function worker(newest: string | undefined, onGap?: () => Promise<void>) {
  const told: SourceGap[] = [];
  const stream = { newestGap: async () => newest };
  const options = { source: "shop", stream, log: silentLogger };
  return { told, options: { ...options, onGap: onGap ?? (async (gap: SourceGap) => void told.push(gap)) } };
}

test("each is told, and its marker goes on in its place", async () => {
  const { told, options } = worker("another");
  const chunk = [gapOf("first"), gapOf("second"), commit];

  expect(await tellGaps(chunk, options)).toEqual(chunk);
  expect(told).toEqual([chunk[0], chunk[1]].map((marker) => (marker as Marker).gap));
});

test("those that the stream holds already are neither told nor stored once more", async () => {
  const { told, options } = worker("second");

  expect(await tellGaps([gapOf("first"), gapOf("second"), commit], options)).toEqual([commit]);
  expect(told).toEqual([]);
});

test("of which the stream holds the first alone are told again, for they are stored together", async () => {
  const { told, options } = worker("first");
  const chunk = [gapOf("first"), gapOf("second")];

  expect(await tellGaps(chunk, options)).toEqual(chunk);
  expect(told).toHaveLength(2);
});

test("one that cannot be told does not go on", async () => {
  const failure = new Error("the bus is away");
  const { options } = worker(undefined, () => Promise.reject(failure));

  await expect(tellGaps([gapOf("first")], options)).rejects.toBe(failure);
});
