// Positions within a shard, names of partitions, ids.

import fc from "fast-check";
import { expect, test } from "vitest";
import { comparePositions } from "../../../../../src/event/position.ts";
import { parsePartition, partitionOf } from "../../../../../src/source/dynamodb/client/partition.ts";
import { EventIds, PositionFormat, parsePosition, Step } from "../../../../../src/source/dynamodb/client/position.ts";

const number = fc.bigInt({ min: 1n, max: 10n ** 40n - 1n }).map(String);
const step = fc.constantFrom(...Object.values(Step));
const format = new PositionFormat("a/b/c");

test("a position comes back as it went in, with the zeros that the server has put before its number", () => {
  fc.assert(
    fc.property(fc.option(fc.tuple(number, fc.nat(5)), { nil: undefined }), step, (numbered, step) => {
      const spelt = numbered && "0".repeat(Math.min(numbered[1], 40 - numbered[0].length)) + numbered[0];
      expect(parsePosition(format.format({ number: spelt, step }))).toEqual({ number: spelt, step });
    }),
  );
});

test("positions compare as their numbers, whatever their lengths, then as what stands there", () => {
  fc.assert(
    fc.property(number, step, number, step, (a, x, b, y) => {
      const wanted = BigInt(a) < BigInt(b) ? -1 : BigInt(a) > BigInt(b) ? 1 : x - y;
      const [one, other] = [format.format({ number: a, step: x }), format.format({ number: b, step: y })];
      expect(Math.sign(comparePositions(one, other))).toBe(Math.sign(wanted));
    }),
  );
  const first = format.format({ number: undefined, step: Step.opened });
  expect(comparePositions(first, format.format({ number: "1", step: Step.began }))).toBeLessThan(0);
});

test("no position stands in two partitions", () => {
  const place = { number: "1", step: Step.record };
  expect(new PositionFormat("a/b/d").format(place)).not.toBe(format.format(place));
});

test("a partition's name is made of tokens, and comes back", () => {
  const name = { table: "acc.lines_2", label: "2026-01-02T03:04:05.678", shard: "shardId-0001-ab" };
  expect(partitionOf(name)).toBe("acc~2Elines_2/2026-01-02T03~3A04~3A05~2E678/shardId-0001-ab");
  expect(parsePartition(partitionOf(name))).toEqual(name);
});

test("ids sort within a stream, and differ between streams", () => {
  const ids = new EventIds("shop", "arn:a");
  expect(ids.of("99") < ids.of("100")).toBe(true);
  expect(ids.of("99")).not.toBe(new EventIds("shop", "arn:b").of("99"));
  expect(ids.of("99")).toMatch(/^shop\.0001\.[0-9a-f]{16}\.0{38}99$/);
});
