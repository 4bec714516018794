// SIGKILL of a whole worker at every place where a crash must do no harm: it may repeat work, it never makes a hole.

import { describe, expect, test } from "vitest";
import type { CrashPoint } from "../../../src/worker/probe.ts";
import { countMessages } from "../../support/bus/count-messages.ts";
import { assertGuarantees } from "../../support/check/guarantees.ts";
import { createTruthSlot } from "../../support/check/truth.ts";
import { watchAcknowledged } from "../../support/postgres/watch-acknowledged.ts";
import { WriteLoad } from "../../support/postgres/write-load.ts";
import { CrashingWorker } from "../../support/process/crashing-worker.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

/** The place, and at which times of coming there the first and the second worker die. */
const crashes: readonly (readonly [CrashPoint, readonly number[]])[] = [
  ["mid-transaction", [3, 6]],
  ["after-publish", [1, 2]],
  ["before-save", [1, 2]],
  ["after-save", [1, 2]],
  ["before-acknowledge", [1, 2]],
];

describe.skipIf(missing("postgres", "nats"))("a worker killed", () => {
  test.each(crashes)("%s, again and again, leaves a whole stream behind", async (point, times) => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query(WriteLoad.tables);
    const truth = await createTruthSlot(database.url, `truth_${point.replaceAll("-", "_")}`);
    const slot = `slot_${point.replaceAll("-", "_")}`;
    const tables = [{ match: "public.item", toast: "reselect" }, "public.whole"];
    const config = {
      bus: { servers: nats.url, fsync: "always" as const },
      sources: { shop: { kind: "postgres", url: database.url, tables, slot } },
    };
    const acknowledged = watchAcknowledged({ url: database.url, slot, natsUrl: nats.url, stream: "CDC_SHOP" });
    await using first = new CrashingWorker({ config, crash: undefined });
    await waitFor(async () => (await countMessages(nats.url, "shop")).markers > 1, { what: "the first start" });
    await using load = WriteLoad.start({ url: database.url, seed: 11 });
    await first.kill();
    for (const nth of times) {
      await using worker = new CrashingWorker({ config, crash: { point, nth } });
      // More than one chunk, so that there is a middle to die in.
      await database.query("insert into item(id, sub) select $1 + i, 0 from generate_series(1, 5000) i", [
        -10_000 * nth,
      ]);
      expect(await worker.ended()).toBe("SIGKILL");
    }
    await using last = new CrashingWorker({ config, crash: undefined });
    await load.stop();
    const committed = (await truth.read()).filter(({ collection }) => collection !== "aside");
    await waitFor(async () => (await countMessages(nats.url, "shop")).events >= committed.length, {
      what: "the stream to hold all changes",
    });
    const samples = await acknowledged.stop();

    expect(await last.stop()).toBe(0);
    expect(committed.length).toBeGreaterThan(10_000);
    await assertGuarantees({ truth: committed, natsUrl: nats.url, source: "shop", samples });
  });
});
