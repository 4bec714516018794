// What an event in the outbox costs, in each way of writing it: log, space, time of the transaction, time to the stream.
// Transactions of one row are the measure: each way is told by what it adds to them.

import { DeliverPolicy } from "@nats-io/jetstream";
import { Client } from "pg";
import { migrationSql } from "../src/outbox/migration-sql.ts";
import { type Ground, onGround, readText } from "./ground.ts";
import type { BenchOptions, BenchResult } from "./result.ts";
import { createTable, INSERT } from "./rows.ts";
import { Worker } from "./worker.ts";

/** Settings of `millrace.outbox`, and no event at all. */
const WAYS = ["none", "delete", "keep", "message"] as const;
type Way = (typeof WAYS)[number];

/** A body of about 300 bytes. */
const EMIT = `select millrace.emit('row.added', $1::text, jsonb_build_object('id', $1::text, 'note', repeat(md5($1::text), 8)))`;

interface Cost {
  readonly walBytes: number;
  readonly tableBytes: number;
  readonly transactionMs: number;
  /** From commit to a plain consumer. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export function benchOutbox({ rows, sync, say }: BenchOptions): Promise<BenchResult> {
  return onGround({ sync, sources: ["s1"], options: { outbox: { mode: "message" } } }, async (bench) => {
    await createTable(bench.database);
    await bench.database.query(migrationSql("outbox"));
    const worker = await Worker.start(bench);
    const costs = new Map<Way, Cost>();
    try {
      await worker.until(async () => ((await worker.status())?.sources[0]?.state === "running" ? true : undefined));
      await writeTransactions(bench, "delete", 1, 500); // until every part runs as it will
      for (const [nth, way] of WAYS.entries()) {
        costs.set(way, await measure(bench, way, 1_000 + nth * rows, rows));
        say(`${way}: ${JSON.stringify(costs.get(way))}`);
      }
    } finally {
      await worker.stop();
    }
    const details: Record<string, number> = {};
    for (const [way, cost] of costs) {
      for (const [name, value] of Object.entries(cost)) details[`${way}.${name}`] = value;
    }
    const added = (way: Way): number => (costs.get(way)?.walBytes ?? 0) - (costs.get("none")?.walBytes ?? 0);
    return {
      name: "outbox",
      value: added("delete"),
      unit: "bytes of log an event, beside a message",
      reference: added("message"),
      ratio: Math.round((added("delete") / added("message")) * 1000) / 1000,
      rssMb: null,
      sync,
      servers: bench.servers,
      rows,
      details,
      runs: { ours: [added("delete")], reference: [added("message")] },
    };
  });
}

async function measure(bench: Ground, way: Way, first: number, rows: number): Promise<Cost> {
  const { database, streams } = bench;
  await database.query("truncate millrace.outbox");
  await database.query("checkpoint");
  const sizeBefore = Number(await readText(database, "select pg_total_relation_size('millrace.outbox')::text as text"));
  const subject = way === "none" ? "cdc.s1.public.measured.created.*" : "events.s1.>";
  const options = { filter_subjects: [subject], deliver_policy: DeliverPolicy.New };
  const consumer = await streams.jetstream().consumers.get("CDC_S1", options);
  const messages = await consumer.consume();
  const latencies: number[] = [];
  const all = (async () => {
    for await (const message of messages) {
      const time = message.headers?.get("ce-time") ?? "";
      latencies.push(
        performance.timeOrigin + performance.now() - (Date.parse(time) + Number(time.slice(23, -1)) / 1000),
      );
      if (latencies.length >= rows) return;
    }
  })();
  await consumer.info();
  const walBefore = await readText(database, "select pg_current_wal_insert_lsn() as text");
  const startMs = performance.now();
  await writeTransactions(bench, way, first, rows);
  const transactionMs = (performance.now() - startMs) / rows;
  const wal = await readText(database, `select (pg_current_wal_insert_lsn() - '${walBefore}')::text as text`);
  await all;
  const size = Number(await readText(database, "select pg_total_relation_size('millrace.outbox')::text as text"));
  latencies.sort((a, b) => a - b);
  const at = (part: number): number => round(latencies[Math.ceil(part * rows) - 1] ?? 0);
  return {
    walBytes: Math.round(Number(wal) / rows),
    tableBytes: Math.round((size - sizeBefore) / rows),
    transactionMs: round(transactionMs),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

/** One after the other, from one session. */
async function writeTransactions({ url }: Ground, way: Way, first: number, rows: number): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    if (way !== "none") await client.query(`set millrace.outbox = '${way}'`);
    for (let id = first; id < first + rows; id++) {
      await client.query("begin");
      await client.query({ name: "row", text: INSERT, values: [id, id] });
      if (way !== "none") await client.query({ name: "emit", text: EMIT, values: [id] });
      await client.query("commit");
    }
  } finally {
    await client.end();
  }
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
