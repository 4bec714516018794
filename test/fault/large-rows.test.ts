// Rows far larger than a message: a worker killed on the way of their bodies, a transaction of them, and one that is too
// large to be held at all. The full sizes: LARGE_ROWS_MIB=900 and LARGE_VALUE_MIB=256.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Objm } from "@nats-io/obj";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import type { CrashPoint } from "../../src/worker/probe.ts";
import { countMessages } from "../support/bus/count-messages.ts";
import { readStream } from "../support/bus/stream-events.ts";
import { assertGuarantees } from "../support/check/guarantees.ts";
import { createTruthSlot } from "../support/check/truth.ts";
import { CrashingWorker } from "../support/process/crashing-worker.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { freshDatabase, freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const MIB = 1024 * 1024;
const rowsBytes = Number(process.env.LARGE_ROWS_MIB ?? 80) * MIB;
const valueBytes = Number(process.env.LARGE_VALUE_MIB ?? 48) * MIB;
const ROW_BYTES = 8_000_000;
const MAX_RSS_MB = 200;

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

describe.skipIf(missing("postgres", "nats"))("memory", () => {
  const start = async (nats: NatsServer, url: string, slot: string): Promise<WorkerProcess> => {
    // As in our image.
    const [, bytes] = /^ENV MALLOC_MMAP_THRESHOLD_=(\d+)$/m.exec(readFileSync("docker/Dockerfile", "utf8")) ?? [];
    if (bytes === undefined) throw new Error("docker/Dockerfile sets no MALLOC_MMAP_THRESHOLD_");
    const env = { MALLOC_MMAP_THRESHOLD_: bytes };
    const worker = await WorkerProcess.start(configFor(nats, url, slot), { env });
    await waitFor(async () => (await countMessages(nats.url, "shop")).markers > 1, { what: "the first start" });
    return worker;
  };

  test(`stays bounded in a transaction of ${rowsBytes / MIB} MiB in rows of 8 MB, each there by claim check`, {
    timeout: 600_000,
  }, async () => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query("create table item(id int primary key, doc text)");
    await using worker = await start(nats, database.url, "large_rows");
    const rows = Math.ceil(rowsBytes / ROW_BYTES);
    await database.query(
      "insert into item select i, repeat(md5(i::text), $2 / 32) from generate_series(1, $1::int) i",
      [rows, ROW_BYTES],
    );
    const committed = performance.now();
    await waitFor(async () => (await countMessages(nats.url, "shop")).events >= rows, {
      what: "all rows",
      timeoutMs: 500_000,
    });
    const seconds = (performance.now() - committed) / 1000;
    const rssMb = peakRssMb(worker);
    console.error(`${rows} rows of ${ROW_BYTES} bytes in ${seconds.toFixed(1)} s; RSS at most ${rssMb} MB`);

    expect(await worker.stop()).toBe(0);
    await using connection = await connected(nats);
    const wrong: string[] = [];
    let id = 0;
    for await (const { place, last } of pointers(connection.nc)) {
      id++;
      const body = await new Objm(connection.nc).open("millrace_large").then((store) => store.getBlob(place));
      const { key, after } = JSON.parse(Buffer.from(body ?? []).toString("utf8"));
      const doc = createHash("md5")
        .update(String(id))
        .digest("hex")
        .repeat(ROW_BYTES / 32);
      if (key.id !== id || after.doc !== doc || last !== (id === rows)) wrong.push(`row ${id}`);
    }
    expect({ rows: id, wrong }).toEqual({ rows, wrong: [] });
    expect(rssMb).toBeLessThan(MAX_RSS_MB);
  });

  test(`stays bounded by a value of ${valueBytes / MIB} MiB: a poison marker, and on`, {
    timeout: 600_000,
  }, async () => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query("create table item(id int primary key, doc text)");
    await using worker = await start(nats, database.url, "large_value");
    await database.query("insert into item values (1, 'before')");
    const committed = performance.now();
    await database.query("insert into item values (2, repeat('0123456789abcdef', $1::int / 16))", [valueBytes]);
    await database.query("insert into item values (3, 'behind')");
    await waitFor(async () => (await countMessages(nats.url, "shop")).events >= 2, {
      what: "the row behind it",
      timeoutMs: 500_000,
    });
    const seconds = (performance.now() - committed) / 1000;
    const rssMb = peakRssMb(worker);
    console.error(`a value of ${valueBytes} bytes in ${seconds.toFixed(1)} s; RSS at most ${rssMb} MB`);

    expect(await worker.stop()).toBe(0);
    const stream = (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => /^cdc|poison$/.test(subject));
    expect(stream.map(({ subject }) => subject.split(".").slice(0, 3).join("."))).toEqual([
      "cdc.shop.public",
      "meta.shop.poison",
      "cdc.shop.public",
    ]);
    const hash = createHash("sha256").update("I");
    const head = Buffer.from("\0\0\0\0N\0\x02t\0\0\0\x012t\0\0\0\0", "latin1");
    const [oid] = await database.query<{ oid: number }>("select 'item'::regclass::oid::int as oid");
    head.writeUInt32BE(oid?.oid ?? 0, 0);
    head.writeUInt32BE(valueBytes, head.length - 4);
    hash.update(head);
    for (let at = 0; at < valueBytes; at += MIB) hash.update("0123456789abcdef".repeat(MIB / 16));
    expect(JSON.parse(stream[1]?.text ?? "")).toMatchObject({
      code: "ROW_TOO_LARGE",
      namespace: "public",
      collection: "item",
      sizeBytes: 1 + head.length + valueBytes,
      sha256: hash.digest("hex"),
    });
    const [letter] = await readStream(nats.url, "MILLRACE_DEAD");
    expect(letter?.text).toHaveLength(64 * 1024);
    expect(rssMb).toBeLessThan(MAX_RSS_MB);
  });
});

/** The most that a worker ever had in memory. */
function peakRssMb({ pid }: WorkerProcess): number {
  const [, kb] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kb) / 1024);
}

async function connected(nats: NatsServer): Promise<AsyncDisposable & { readonly nc: NatsConnection }> {
  const nc = await connect({ servers: nats.url, reconnect: false });
  return { nc, [Symbol.asyncDispose]: () => nc.close() };
}

/** The names of the objects that a stream's events point to, in order. */
async function* pointers(nc: NatsConnection): AsyncGenerator<{ readonly place: string; readonly last: boolean }> {
  const manager = await jetstreamManager(nc);
  const { state } = await manager.streams.info("CDC_SHOP");
  const consumer = await jetstream(nc).consumers.get("CDC_SHOP");
  for await (const message of await consumer.consume()) {
    const place = message.headers?.get("ce-dataref") ?? "";
    if (place !== "")
      yield { place: place.replace("millrace_large/", ""), last: message.headers?.get("Cdc-Tx-Last") === "1" };
    if (message.seq >= state.last_seq) return;
  }
}

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
