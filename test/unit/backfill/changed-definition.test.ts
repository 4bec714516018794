// Rows of a slice never stand behind a change under another definition of their collection, nor behind one of another collection
// that has its name by then.

import { expect, test } from "vitest";
import { SlicesInHand } from "../../../src/backfill/slices-in-hand.ts";
import type { Position } from "../../../src/event/position.ts";
import type { CollectionVersion } from "../../../src/event/source-event.ts";
import type { CopyTarget, RowCopier, SliceRequest } from "../../../src/source/capabilities.ts";
import type { SourceMessage } from "../../../src/source/source.ts";
import { copiedRow, ordersRead } from "../../support/bus/copied-rows.ts";

const orders: CopyTarget = { id: ordersRead.version.schema.id, namespace: "public", collection: "orders" };
const request = { target: orders, after: undefined, maxRows: 10 } as SliceRequest;

function version(more: object = {}): CollectionVersion {
  return { schema: { ...ordersRead.version.schema, ...more }, uri: undefined };
}

/** @param transaction "old": the slice shows it */
function change(of: CollectionVersion, transaction = "new"): SourceMessage {
  const { namespace, collection } = of.schema;
  return {
    ...{ type: "change", key: "9", lane: "p00", data: Buffer.from("{}"), position: "0001+" as Position },
    kind: { namespace, collection, op: "updated", version: of },
    transaction: { id: transaction, time: "2026-01-01T00:00:00.000000Z", lineage: undefined },
  };
}

/** Of a slice, while which is read, and behind which, things are handed out. */
async function fault(
  before: readonly SourceMessage[],
  since: readonly SourceMessage[],
  slices: SlicesInHand = new SlicesInHand(),
): Promise<string | undefined> {
  const copier: RowCopier = {
    targets: async () => [orders],
    readSlice: async () => {
      await Promise.resolve();
      slices.handedOut(before);
      return {
        ...{ rows: [copiedRow("1")], after: () => ({}), isLast: true, version: ordersRead.version },
        ...{ notBefore: new Map(), includes: ({ transaction }) => transaction === "old" },
      };
    },
  };
  const { held } = await slices.read(copier, request);
  slices.handedOut(since);
  return held.fault;
}

const renamed = version({ columns: [{ name: "note", number: 2, type: "text", nullable: true, value: {} }] });

test.each([
  ["the same definition, described anew", [version()], undefined],
  ["another definition", [renamed], "spoiled"],
  ["another name", [version({ collection: "aside" })], "spoiled"],
  ["another collection that has its name by then", [version({ id: "999" })], "spoiled"],
  ["another collection", [version({ id: "999", collection: "aside" })], undefined],
] as const)("%s", async (_, versions, expected) => {
  const changes = versions.map((one) => change(one));
  expect([await fault(changes, []), await fault([], changes)]).toEqual([expected, expected]);
});

test("what the slice shows is of no concern to it", async () => {
  const changes = [change(renamed, "old")];
  expect([await fault(changes, []), await fault([], changes)]).toEqual([undefined, undefined]);
});

test("a definition spoils a slice once, however much comes of it: what is read behind it is no older", async () => {
  const slices = new SlicesInHand();
  expect(await fault([change(renamed)], [], slices)).toBe("spoiled");
  expect(await fault([change(renamed)], [change(renamed)], slices)).toBe(undefined);
});

test("nothing of it is stored behind what was lost of the collection", async () => {
  const lost = (collection: string): SourceMessage => ({
    ...{ type: "lost", id: "1", code: "TABLE_DROPPED", reason: "it was dropped", collections: [collection] },
    ...{ position: "0001+" as Position, upTo: "0001+" as Position },
  });
  expect(await fault([], [lost("public.others")])).toBe(undefined);
  expect(await fault([], [lost("public.orders")])).toBe("spoiled");
  expect(await fault([lost("public.orders")], [])).toBe("spoiled");
});
