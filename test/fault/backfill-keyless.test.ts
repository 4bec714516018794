// A table without a key copied while it is changed, by workers that are killed in the middle: who counts rows by their content, and
// begins anew where the copy says so, holds the table's rows at the end, each as often as it is there.

import { expect, test } from "vitest";
import { visibleIn } from "../../src/source/postgres/reselect/snapshot-visibility.ts";
import { newestOf, newestProgress, orderBackfill } from "../support/bus/order-backfill.ts";
import { streamEvents } from "../support/bus/stream-events.ts";
import { CrashingWorker } from "../support/process/crashing-worker.ts";
import { freshDatabase, freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

interface Body {
  readonly before: object | null;
  readonly after: object | null;
}

/** As docs/wire.md tells a consumer: changes of the count of a row, with the transaction that made them. */
class CountedRows {
  #changes: { readonly row: string; readonly by: number; readonly transaction: string | undefined }[] = [];
  /** Snapshots that were told, and ids of rows. */
  readonly snapshots: string[] = [];
  readonly ids = new Set<string>();
  reads = 0;

  marker(at: { readonly collection: string; readonly asOf?: { readonly snapshot: string } } | undefined): void {
    const snapshot = at?.collection === "log" ? at.asOf?.snapshot : undefined;
    if (snapshot === undefined || snapshot === this.snapshots.at(-1)) return;
    this.snapshots.push(snapshot);
    const shows = visibleIn(snapshot);
    this.#changes = this.#changes.filter(({ transaction }) => transaction !== undefined && !shows(transaction));
  }

  event(body: Body, transaction: string | undefined, id: string): void {
    this.ids.add(id);
    if (transaction === undefined) this.reads++;
    if (body.before !== null) this.#changes.push({ row: JSON.stringify(body.before), by: -1, transaction });
    if (body.after !== null) this.#changes.push({ row: JSON.stringify(body.after), by: 1, transaction });
  }

  counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { row, by } of this.#changes) counts[row] = (counts[row] ?? 0) + by;
    return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
  }
}

test.skipIf(missing("postgres", "nats"))(
  "rows without a key are counted right, by whoever was killed",
  {
    timeout: 150_000,
  },
  async () => {
    await using nats = await freshNats({ syncInterval: "always" });
    await using database = await freshDatabase();
    await database.query(`
    create table log(a int, note text); alter table log replica identity full;
    insert into log select i % 500, repeat('x', i % 3) from generate_series(1, 6000) i;
    create table last(id int primary key)`);
    const source = { kind: "postgres", url: database.url };
    const config = { bus: { servers: nats.url, fsync: "always" as const }, sources: { shop: source } };
    let writes = 0;
    const write = async (): Promise<void> => {
      const n = writes++ % 500;
      await database.query(`
      insert into log values (${n}, 'new'), (${n}, 'new');
      update log set note = note || 'y' where a = ${(n * 7) % 500};
      delete from log where ctid in (select ctid from log where a = ${(n * 11) % 500} limit 3)`);
    };
    for (const nth of [3, 2]) {
      await using worker = new CrashingWorker({ config, crash: { point: "mid-backfill-chunk", nth } });
      if (nth === 3) {
        await waitFor(() => newestOf(nats.url, "meta.shop.history"), { what: "the first start", timeoutMs: 60_000 });
        await write();
        await orderBackfill(nats.url, { collections: ["public.log"] });
      }
      let isOver = false;
      const ended = worker.ended().finally(() => {
        isOver = true;
      });
      while (!isOver) await write();
      expect(await ended).toBe("SIGKILL");
    }
    await using last = new CrashingWorker({ config, crash: undefined });
    await waitFor(
      async () => {
        await write();
        return (await newestProgress(nats.url))?.state === "completed";
      },
      { what: "the copy to be complete", timeoutMs: 60_000 },
    );
    await database.query("insert into last values (1)");
    await waitFor(() => newestOf(nats.url, "cdc.shop.public.last.>"), {
      what: "the stream to hold all",
      timeoutMs: 30_000,
    });

    const rows = new CountedRows();
    let seen = 0;
    for await (const { subject, text, header } of streamEvents(nats.url, "CDC_SHOP")) {
      if (subject === "meta.shop.backfill") rows.marker(JSON.parse(text).at);
      if (!subject.startsWith("cdc.shop.public.log.")) continue;
      seen++;
      rows.event(JSON.parse(text), header("Cdc-Tx"), header("ce-id") ?? "");
      expect(header("ce-subject")).toBe("public.log/");
    }
    expect(await last.stop()).toBe(0);

    const held = await database.query<{ row: string; n: number }>(
      "select json_build_object('a', a, 'note', note)::text as row, count(*)::int as n from log group by a, note",
    );
    const expected = Object.fromEntries(held.map(({ row, n }) => [JSON.stringify(JSON.parse(row)), n]));
    console.error(`${writes} times written, ${rows.reads} rows read as of ${rows.snapshots.length} moments`);
    expect(rows.counts()).toEqual(expected);
    expect(rows.snapshots.length).toBeGreaterThan(1);
    expect(rows.ids.size).toBe(seen);
  },
);
