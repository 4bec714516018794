// In which order places, descriptions and events come out.

import { expect, test } from "vitest";
import type { Position } from "../../../../../src/event/position.ts";
import type { CollectionVersion } from "../../../../../src/event/source-event.ts";
import { Sequencer } from "../../../../../src/source/postgres/decode/sequencer.ts";

const kind = { namespace: "public", collection: "orders", op: "created", version: undefined } as const;
const row = { type: "change", kind, lane: "p00", key: "1", data: Buffer.from("{}") } as const;

test("a description comes out behind the place of an idle log that stands before its transaction", () => {
  const sequencer = new Sequencer(1, `0001.${"0".repeat(16)}.${"0".repeat(16)}.a000000+` as Position);
  sequencer.advance(0, 0x100);
  sequencer.begin(0, 0x300, { id: "1.7", time: "2026-01-02T03:04:05.000006Z", lineage: undefined });
  const place = sequencer.descriptionAt(0, 0x200, 0);
  sequencer.push(sequencer.next(0, 0x200), row);
  sequencer.describe({ schema: {}, uri: undefined } as unknown as CollectionVersion, place);
  sequencer.commit(0, 0x310);

  const messages = sequencer.take();
  expect(messages.map(({ type }) => type)).toEqual(["commit", "described", "change"]);
  const positions = messages.map(({ position }) => position);
  expect(positions).toEqual([...positions].sort());
});
