// Rows far larger than a message: a worker killed on the way of their bodies, a transaction of them, and one that is too
// large to be held at all. The full sizes: LARGE_ROWS_MIB=900 and LARGE_VALUE_MIB=256.

import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import type { CrashPoint } from "../../src/worker/probe.ts";
import { countMessages } from "../support/count-messages.ts";
import { CrashingWorker } from "../support/crashing-worker.ts";
import { assertGuarantees } from "../support/guarantees.ts";
import { freshDatabase, freshNats, missing } from "../support/servers.ts";
import { createTruthSlot } from "../support/truth.ts";
import { waitFor } from "../support/wait-for.ts";

/** Larger than what these servers take in one message; a body of it is three chunks. */
const WIDE = "repeat('große', 100000)";

const configFor = (nats: NatsServer, url: string, slot: string) => ({
  bus: { servers: nats.url, fsync: "always" as const },
  sources: { shop: { kind: "postgres", url, tables: ["public.item"], slot } },
});

describe.skipIf(missing("postgres", "nats"))("an event that is larger than the bus takes", () => {
  const crashes: readonly (readonly [CrashPoint, readonly number[]])[] = [
    ["body-stored", [1, 3]],
    ["after-publish", [1]],
    ["before-save", [1]],
  ];
  test.each(crashes)("is neither lost nor doubled by a kill at %s", async (point, times) => {
    await using nats = await freshNats({ config: "max_payload: 256KB" });
    await using database = await freshDatabase();
    await database.query("create table item(id int primary key, doc text)");
    const name = point.replaceAll("-", "_");
    const truth = await createTruthSlot(database.url, `truth_large_${name}`);
    const config = configFor(nats, database.url, `large_${name}`);
    await using first = new CrashingWorker({ config, crash: undefined });
    await waitFor(async () => (await countMessages(nats.url, "shop")).markers > 1, { what: "the first start" });
    await first.kill();
    let id = 0;
    const write = async (): Promise<void> => {
      await database.query(`insert into item select i, ${WIDE} || i from generate_series($1::int, $1::int + 3) i`, [
        id,
      ]);
      await database.query(`insert into item values ($1 + 4, 'small'), ($1 + 5, ${WIDE})`, [id]);
      id += 6;
    };
    for (const nth of times) {
      await using worker = new CrashingWorker({ config, crash: { point, nth } });
      await write();
      expect(await worker.ended()).toBe("SIGKILL");
    }
    await using last = new CrashingWorker({ config, crash: undefined });
    await write();
    await waitFor(async () => (await countMessages(nats.url, "shop")).events >= id, { what: "all rows" });

    expect(await last.stop()).toBe(0);
    await assertGuarantees({ truth: await truth.read(), natsUrl: nats.url, source: "shop" });
    const stored = await entries(nats);
    expect(stored.size).toBe((id / 6) * 5);
  });
});

/** The objects of `millrace_large`, by name: an event's body that was stored twice is there once. */
async function entries(nats: NatsServer): Promise<ReadonlyMap<string, number>> {
  const connection = await connect({ servers: nats.url, reconnect: false });
  try {
    const { streams } = await jetstreamManager(connection);
    const { state } = await streams.info("OBJ_millrace_large", { subjects_filter: "$O.millrace_large.M.>" });
    return new Map(Object.entries(state.subjects ?? {}));
  } finally {
    await connection.close();
  }
}
