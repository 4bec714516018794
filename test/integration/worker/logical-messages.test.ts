// Logical messages in the stream of a worker that is killed again and again: each once, in the log's own order.

import { describe, expect, test } from "vitest";
import { readStream, type StreamEvent } from "../../support/bus/stream-events.ts";
import { brokenLinks } from "../../support/postgres/transactions.ts";
import { CrashingWorker } from "../../support/process/crashing-worker.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

/** At a time. */
const ROUNDS = 5;

/** What happens around message and row `n`; `emit(true …)` belongs to its transaction, `emit(false …)` does not. */
function round(n: number): string {
  const emit = (transactional: boolean, prefix: string): string =>
    `select pg_logical_emit_message(${transactional}, '${prefix}', '${prefix} ${n}')`;
  return `${emit(false, "read")}; ${emit(false, "aside")};
    begin; insert into item values (${n}); ${emit(true, "read")}; ${emit(false, "late.read")}; ${emit(true, "aside")};
    savepoint part; ${emit(true, "read")}; rollback to savepoint part; insert into item values (-${n}); commit;
    begin; ${emit(true, "read")}; ${emit(false, "late.read")}; insert into item values (0); rollback;
    begin; ${emit(true, "read")}; commit`;
}

/** A row's key, or a message's content. */
function nameOf({ subject, text }: StreamEvent): string {
  const body = JSON.parse(text) as { key: { id: number } } & { content: string; transactional: boolean };
  return subject.startsWith("cdc.") ? String(body.key.id) : `${body.content} ${body.transactional}`;
}

describe.skipIf(missing("postgres", "nats"))("logical messages of a worker killed behind a publish and a save", () => {
  test("come once, in the order of Postgres' own account, and no other prefix comes at all", async () => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query("create table item(id int primary key)");
    await database.query("select pg_create_logical_replication_slot('truth', 'test_decoding')");
    const messages = ["read", "late.read"];
    const source = { kind: "postgres", url: database.url, tables: ["public.item"], slot: "messages", messages };
    const config = { bus: { servers: nats.url, fsync: "always" as const }, sources: { shop: source } };
    const stored = async (): Promise<readonly StreamEvent[]> =>
      (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => /^cdc|\.message\./.test(subject));
    const crashes = [undefined, "after-publish", "after-save", undefined] as const;
    const isStored = async (row: number): Promise<boolean> =>
      (await stored()).some((event) => nameOf(event) === `-${row}`);
    let n = 0;
    for (const point of crashes) {
      await using worker = new CrashingWorker({ config, crash: point && { point, nth: 2 } });
      if (n === 0)
        await waitFor(async () => (await readStream(nats.url, "CDC_SHOP")).length > 1, { what: "the start" });
      let ended = point === undefined;
      const end =
        point &&
        worker.ended().finally(() => {
          ended = true;
        });
      do {
        for (let left = ROUNDS; left > 0; left--) await database.query(round(++n));
        await waitFor(async () => (point !== undefined && ended) || (await isStored(n)), {
          what: "the newest row",
        });
      } while (!ended);
      if (end !== undefined) expect(await end).toBe("SIGKILL");
    }
    const rows = await database.query<{ data: string }>(
      "select data from pg_logical_slot_get_changes('truth', null, null)",
    );
    const committed = rows.flatMap(({ data }) => {
      const [, transactional, prefix, content] =
        /^message: transactional: ([01]) prefix: ([\w.]+), sz: \d+ content:(.*)$/.exec(data) ?? [];
      if (prefix !== undefined) return messages.includes(prefix) ? [`${content} ${transactional === "1"}`] : [];
      return /^table public\.item: INSERT: id\[integer\]:(-?\d+)$/.exec(data)?.[1] ?? [];
    });
    await waitFor(async () => (await stored()).length >= committed.length, {
      what: "the last message",
    });
    const events = await stored();

    expect(committed.length).toBe(n * 7);
    expect(events.map(nameOf)).toEqual(committed);
    expect(new Set(events.map(({ header }) => header("ce-id"))).size).toBe(events.length);
    expect(brokenLinks(await readStream(nats.url, "CDC_SHOP"))).toEqual([]);
  });
});
