// Copies of documents that nobody orders by hand, on the wire double: of a collection that is there, and of what a gap covers.

import { expect, test } from "vitest";
import { newestProgress } from "../../support/bus/order-backfill.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { CopiedDocuments } from "../../support/check/copied-documents.ts";
import { DoubleShop } from "../../support/mongodb/double-shop.ts";
import { freshNats } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

test("documents are copied once where the configuration says so, and what a gap covers behind the gap", async () => {
  const nats = await freshNats();
  const shop = await DoubleShop.start({ section: { backfill: "initial", onGap: "backfill" } });
  const { oplog } = shop.double;
  const completed = (backfill: number) =>
    waitFor(
      async () => {
        const newest = await newestProgress(nats.url);
        return newest?.backfill === backfill && newest.state === "completed";
      },
      { what: `copy ${backfill} to be complete`, timeoutMs: 30_000 },
    );
  shop.insert({ _id: 1, v: 1 }, { _id: 2, v: 1 }, { _id: 3, v: 1 });
  oplog.truncate(); // of these nothing is in the log
  const first = await shop.worker(nats);
  await completed(1);
  await first.stop();
  oplog.write("shop", [{ update: "orders", id: 2, set: { v: 2 } }]);
  oplog.write("shop", [{ remove: "orders", id: 1 }]);
  oplog.write("shop", [{ insert: "orders", document: { _id: 4, v: 1 } }]);
  oplog.truncate();
  const second = await shop.worker(nats);
  await completed(2);
  await second.stop();
  const events = await readStream(nats.url, "CDC_SHOP");
  const state = new CopiedDocuments(events);
  const bodies = events.flatMap(({ subject, text }) => (subject.startsWith("cdc.") ? [JSON.parse(text)] : []));

  expect(bodies.map(({ op, key, after }) => `${op} ${key._id} ${after.v}`)).toEqual([
    ...["read 1 1", "read 2 1", "read 3 1"],
    ...["read 2 2", "read 3 1", "read 4 1"],
  ]);
  expect(state.wrong).toEqual([]);
  expect(state.progress).toMatchObject({ backfill: 2, gaps: [{ code: "OPLOG_LOST" }] });
});
