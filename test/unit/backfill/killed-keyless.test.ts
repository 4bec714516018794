// A table without a key, copied while it is changed, by workers that are killed: whoever counts its rows as docs/wire.md says has each
// once. The database is a list of rows; what is read of it, and when the stream gets what is committed, is drawn by a seed.

import { expect, test } from "vitest";
import { Backfill } from "../../../src/backfill/backfill.ts";
import type { Order } from "../../../src/backfill/order.ts";
import type { Clock } from "../../../src/clock.ts";
import type { Position } from "../../../src/event/position.ts";
import { positionsAt } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { CopyBatch, RowCopier } from "../../../src/source/capabilities.ts";
import type { SourceMessage } from "../../../src/source/source.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { copiedRow, ordersRead } from "../../support/bus/copied-rows.ts";

const order: Order = { backfill: 1, state: "running", by: "a test", at: "2026-01-02T03:04:05Z" };
const place = { namespace: "public", collection: "orders" };

/** What one transaction did: rows by content, one more or one less; "empty": all of them are gone. */
interface Done {
  readonly id: number;
  readonly counts: readonly (readonly [string, number])[] | "empty";
}

interface Marker {
  readonly at?: { readonly after?: unknown; readonly asOf?: { readonly snapshot: string } };
  readonly state: string;
}

/** Counts as docs/wire.md asks for, "A table without a key". */
class Counting {
  readonly counts = new Map<string, number>();
  readonly #done: Done[] = [];
  readonly #snapshots = new Set<string>();
  begun = 0;

  change(done: Done): void {
    this.#done.push(done);
    this.#apply(done);
  }

  read(content: string): void {
    this.#add(content, 1);
  }

  marker({ at }: Marker): void {
    const snapshot = at?.asOf?.snapshot;
    if (snapshot === undefined || this.#snapshots.has(snapshot)) return;
    this.#snapshots.add(snapshot);
    this.begun++;
    this.counts.clear();
    const end = Number(snapshot.split(":")[1]);
    for (const done of this.#done) if (done.id >= end) this.#apply(done);
  }

  #apply({ counts }: Done): void {
    if (counts === "empty") this.counts.clear();
    else for (const [content, more] of counts) this.#add(content, more);
  }

  #add(content: string, more: number): void {
    const count = (this.counts.get(content) ?? 0) + more;
    if (count === 0) this.counts.delete(content);
    else this.counts.set(content, count);
  }
}

function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const clock: Clock = { now: () => 0, wall: () => 0, sleep: async () => {} };

class Database {
  rows: string[] = [];
  /** Another one after each TRUNCATE. */
  life = 0;
  readonly log: Done[] = [];

  commit(draw: (below: number) => number): void {
    const id = this.log.length + 1;
    if (draw(40) === 0) {
      this.rows = [];
      this.life++;
      this.log.push({ id, counts: "empty" });
      return;
    }
    const counts: [string, number][] = [];
    for (let nth = draw(3); nth >= 0; nth--) {
      const gone = draw(3) > 0 ? this.rows.splice(draw(this.rows.length + 1), 1) : [];
      const added = draw(3) > 0 ? [`r${draw(5)}`] : [];
      this.rows = [...this.rows, ...added];
      counts.push(
        ...gone.map((row) => [row, -1] as [string, number]),
        ...added.map((row) => [row, 1] as [string, number]),
      );
    }
    this.log.push({ id, counts });
  }
}

/** Of one worker: its snapshot ends with it. */
function copierOf(database: Database, nth: number): RowCopier {
  let held:
    | { readonly asOf: string; readonly life: number; readonly rows: readonly string[]; readonly end: number }
    | undefined;
  let taken = 0;
  return {
    readsAhead: true,
    targets: async () => [{ ...place, id: ordersRead.version.schema.id }],
    readSlice: async ({ after, maxRows }) => {
      const from = after as { readonly asOf?: string; readonly row?: number } | undefined;
      const isGood = held !== undefined && held.life === database.life && held.asOf === from?.asOf;
      if (!isGood) {
        const end = database.log.length;
        // Two workers may have snapshots that show the same: told apart by what Postgres has in front.
        held = { asOf: `${nth * 1000 + ++taken}:${end + 1}:`, life: database.life, rows: [...database.rows], end };
      }
      const { asOf, rows, end } = held as NonNullable<typeof held>;
      const first = isGood ? (from?.row ?? 0) : 0;
      const read = isGood ? rows.slice(first, first + maxRows) : [];
      return {
        rows: read.map((content, index) => ({
          ...copiedRow(`${asOf}/${first + index}`),
          ...{ unkeyed: true as const, data: Buffer.from(content) },
        })),
        after: (index) => ({ asOf, row: first + index + 1 }),
        ...(!isGood && { passed: { asOf } }),
        ...{
          isLast: isGood && first + maxRows >= rows.length,
          version: ordersRead.version,
          asOf: { snapshot: asOf, time: "" },
        },
        notBefore: positionsAt({ position: String(end).padStart(9, "0") as Position }),
        includes: ({ transaction }) => Number(transaction) <= end,
      };
    },
  };
}

function messagesOf({ id, counts }: Done): readonly SourceMessage[] {
  const ops =
    counts === "empty" ? (["truncated"] as const) : counts.map(([, more]) => (more > 0 ? "created" : "deleted"));
  return ops.map((op) => ({
    ...{
      type: "change",
      key: "",
      lane: "p00",
      data: Buffer.from("{}"),
      position: String(id).padStart(9, "0") as Position,
    },
    kind: { ...place, op, version: ordersRead.version },
    transaction: { id: String(id), time: "2026-01-01T00:00:00.000000Z", lineage: undefined },
  }));
}

async function copied(seed: number): Promise<{ counting: Counting; database: Database; kills: number }> {
  const draw = random(seed);
  const database = new Database();
  for (let nth = 0; nth < 30; nth++) database.commit(draw);
  const counting = new Counting();
  let stored = 0;
  let progress: Readonly<Record<string, unknown>> | undefined;
  let kills = 0;
  for (let nth = 1; ; nth++) {
    const common = { source: "shop" as SourceId, clock, log: silentLogger, maxMessageBytes: 1_000_000 };
    const options = {
      ...common,
      ...{ maxRows: 4, maxBatchRows: 3 },
      copier: copierOf(database, nth),
      order: async () => order,
    };
    const backfill = new Backfill(options, progress);
    const store = (): void => {
      const done = database.log[stored++] as Done;
      backfill.handedOut(messagesOf(done));
      counting.change(done);
    };
    const write = (): void => {
      for (let more = draw(3); more > 0; more--) database.commit(draw);
      while (stored < database.log.length && draw(2) === 0) store();
    };
    const ended = new AbortController();
    const batches = backfill.read({ signal: ended.signal });
    let isKilled = false;
    while (!isKilled) {
      const batch = (await batches.next()).value as CopyBatch;
      write();
      isKilled = kills < 5 && draw(6) === 0;
      if (isKilled && draw(2) === 0) break; // before it is stored
      while (stored < Number([...batch.notBefore.values()][0] ?? 0)) store();
      for (const { data } of batch.rows()) counting.read(Buffer.from(data).toString());
      progress = JSON.parse(JSON.stringify(batch.progress)) as Readonly<Record<string, unknown>>;
      counting.marker(progress as unknown as Marker);
      if (progress.state !== "completed") continue;
      while (stored < database.log.length) store();
      ended.abort();
      return { counting, database, kills };
    }
    kills++;
    ended.abort();
  }
}

test("is counted right at the end, by whoever begins anew where a marker says so", async () => {
  let begun = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const { counting, database, kills } = await copied(seed);
    const held = new Map<string, number>();
    for (const row of database.rows) held.set(row, (held.get(row) ?? 0) + 1);
    expect([...counting.counts].sort(), `seed ${seed}, ${kills} kills`).toEqual([...held].sort());
    begun += counting.begun;
  }
  expect(begun).toBeGreaterThan(300);
});
