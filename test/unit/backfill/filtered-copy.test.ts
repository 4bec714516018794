// A copy of the rows that match a pattern: the others count as passed, and a pattern that does not fit is said.

import { expect, test } from "vitest";
import { Backfill } from "../../../src/backfill/backfill.ts";
import { checkWhere } from "../../../src/backfill/filtered-copier.ts";
import type { Order } from "../../../src/backfill/order.ts";
import { realClock } from "../../../src/clock.ts";
import { type ColumnSchema, DECIMAL_NUMBER } from "../../../src/event/collection-schema.ts";
import type { CollectionVersion, CopiedRow } from "../../../src/event/source-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { CopyBatch, CopyTarget, RowCopier } from "../../../src/source/capabilities.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";

const shop = "shop" as SourceId;
const target: CopyTarget = { id: "1", namespace: "public", collection: "orders" };
const column = (name: string, value: ColumnSchema["value"]): ColumnSchema => ({
  name,
  number: 1,
  type: name,
  nullable: true,
  value,
});
const columns = [column("id", { type: "integer" }), column("total", DECIMAL_NUMBER)];
const version: CollectionVersion = {
  schema: { id: "1", namespace: "public", collection: "orders", identity: "key", key: ["id"], columns },
  uri: "kv:millrace_schemas/shop.1",
};
const kind = { namespace: "public", collection: "orders", op: "read" as const, version };

function row(id: number, total: string): CopiedRow {
  const data = Buffer.from(JSON.stringify({ op: "read", key: { id }, before: null, after: { id, total } }));
  return {
    type: "copied",
    kind,
    collectionId: "1",
    backfill: 1,
    lane: "p00",
    key: `${id}`,
    time: "2026-01-02T03:04:05.000000Z",
    data,
  };
}

/** Slices of so many rows of a table of nine, whose totals are 0.50 to 8.50. */
function copier(size: number): RowCopier & { readonly asked: unknown[] } {
  const all = Array.from({ length: 9 }, (_, id) => row(id, `${id}.50`));
  const asked: unknown[] = [];
  return {
    asked,
    targets: async () => [target],
    estimate: async () => 9,
    readSlice: async ({ after }) => {
      asked.push(after?.id);
      const from = after === undefined ? 0 : Number(after.id) + 1;
      const rows = all.slice(from, from + size);
      const isLast = from + size >= all.length;
      return {
        rows,
        after: (nth) => ({ id: from + nth }),
        isLast,
        version,
        notBefore: new Map(),
        includes: () => true,
      };
    },
  };
}

/** What is stored up to the marker that is over, or waits. */
async function copied(source: RowCopier, where: Order["where"]) {
  const order: Order = {
    backfill: 1,
    state: "running",
    by: "a test",
    at: "2026-01-02T03:04:05Z",
    ...(where && { where }),
  };
  const clock = { ...realClock, sleep: async () => {} };
  const options = {
    source: shop,
    copier: source,
    order: async () => order,
    log: silentLogger,
    clock,
    maxMessageBytes: 1e6,
  };
  const ended = new AbortController();
  const keys: string[] = [];
  const markers: CopyBatch["progress"][] = [];
  for await (const batch of new Backfill(options, undefined).read({ signal: ended.signal })) {
    keys.push(...batch.rows().map(({ key }) => key));
    markers.push(batch.progress);
    if (batch.progress.state !== "copying") break;
  }
  ended.abort();
  return { keys, markers, last: markers.at(-1) };
}

test("takes the rows that match, numbers by their value, and goes on behind all that it has looked at", async () => {
  const source = copier(3);
  const { keys, last, markers } = await copied(source, { after: { total: [{ numeric: [">=", 3.5, "<", 8] }] } });

  expect(keys).toEqual(["3", "4", "5", "6", "7"]);
  expect(source.asked).toEqual([undefined, 2, 5]);
  expect(last).toMatchObject({ state: "completed", rows: 5, done: 1, filtered: true });
  // How many will match nobody knows, and what the pattern looks for may be a secret.
  expect(last).not.toHaveProperty("estimatedRows");
  expect(JSON.stringify(markers)).not.toContain("numeric");
});

test("goes through a table of which nothing matches, by any size of slices", async () => {
  for (const size of [1, 2, 4, 9, 20]) {
    const { keys, last } = await copied(copier(size), { key: { id: [77] } });
    expect([keys, last?.state, last?.rows]).toEqual([[], "completed", 0]);
    expect((await copied(copier(size), undefined)).keys).toHaveLength(9);
    expect((await copied(copier(size), { key: { id: [0, 8] } })).keys).toEqual(["0", "8"]);
  }
});

test("waits where the pattern names a column that the table does not have, and says which", async () => {
  const { keys, last } = await copied(copier(3), { after: { totl: [{ numeric: [">", 3] }] } });

  expect(keys).toEqual([]);
  expect(last).toMatchObject({
    state: "waiting",
    reason: { code: "PATTERN_INVALID", message: expect.stringContaining('there is no column "totl"') },
  });
});

test("a pattern that no copied row can match is refused before anything is ordered", () => {
  expect(() => checkWhere({ after: { total: [{ numeric: [">", 3] }] } }, shop)).not.toThrow();
  for (const where of [{ op: ["created"] }, { before: { id: [1] } }, { rows: [1] }, { after: { id: 1 } }, []])
    expect(() => checkWhere(where, shop)).toThrow(expect.objectContaining({ code: "PATTERN_INVALID" }));
});
