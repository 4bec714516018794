// A table that is copied while it is written to, on a server that is late in every way that the connector allows for, by workers that
// are killed: in virtual time, on our own double.

import { expect, test } from "vitest";
import type { SourceId } from "../../src/event/source-id.ts";
import { createDynamoConnector } from "../../src/source/dynamodb/connector.ts";
import { contextOf, type Memory } from "../contract/source/source-ground.ts";
import { Random } from "../support/bus/scripted-bus.ts";
import { CopiedStream } from "../support/dynamodb/copied-stream.ts";
import { LateTable } from "../support/dynamodb/late-table.ts";
import { ScriptedDynamo } from "../support/dynamodb/scripted-dynamo.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const runs = Number(process.env.SCHEDULES ?? 12);
const firstSeed = Number(process.env.SEED ?? Date.now() % 1e9);
const ITEMS = 60;
const DELAY_MS = 1000;
const LATE_MS = 400;

test(`the stream goes back to no older item, reads none twice and ends with what the table holds, under ${runs} random schedules`, {
  timeout: 600_000,
}, async () => {
  console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
  let reads = 0;
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const { stream, table } = await copied(seed);
    expect(stream.wrong(), `seed ${seed}`).toEqual([]);
    expect(stream.held(), `seed ${seed}`).toEqual(table.held());
    reads += stream.rows.filter(({ op }) => op === "read").length;
  }
  expect(reads / runs).toBeGreaterThan(ITEMS / 6);
});

async function copied(seed: number) {
  const random = new Random(seed);
  const time = new VirtualTime();
  const { clock } = time;
  const server = new ScriptedDynamo(`copied${seed}`, clock);
  const table = new LateTable({ server, clock, random, table: "carts", items: ITEMS, lateMs: LATE_MS });
  const connector = createDynamoConnector({ connect: async () => server.connect(), clock });
  const config = connector.parse(
    { tables: ["carts"], poll: { minMs: 20, maxIdleMs: 200 }, scan: { streamDelay: `${DELAY_MS}ms` } },
    "sources.shop",
  );
  const memory: Memory = { value: undefined };
  const stream = new CopiedStream();
  const work = async (until: () => boolean): Promise<void> => {
    const end = new AbortController();
    const source = await connector.open("shop" as SourceId, config, contextOf(memory));
    const worker = stream.work(source, clock, random, 5, end.signal);
    worker.catch(() => {});
    while (!until()) await Promise.race([clock.sleep(50), worker.then(() => Promise.reject(new Error("it ended")))]);
    end.abort();
    await worker;
    await source[Symbol.asyncDispose]();
  };
  const all = async (): Promise<void> => {
    for (let kills = random.below(3); kills > 0; kills--) {
      const at = clock.now() + 2_000 + random.below(8_000);
      await work(() => clock.now() > at);
    }
    let restAt = Number.POSITIVE_INFINITY;
    await work(() => {
      if (stream.progress?.state === "completed" && restAt === Number.POSITIVE_INFINITY) {
        restAt = clock.now() + 20_000;
        void table.stop();
      }
      return clock.now() > restAt;
    });
  };
  await time.when(all());
  return { stream, table };
}
