// The part of the source contract about what is seen from outside: lag, what is held back, findings, notices, and rows that
// cannot travel.

import { describe, expect, test } from "vitest";
import { type Positions, reaches } from "../../../src/event/positions.ts";
import type { Finding } from "../../../src/telemetry/finding.ts";
import type { SourceGround } from "./source-ground.ts";
import { keyOf } from "./source-reading.ts";
import type { ContractWorker } from "./source-worker.ts";
import { markersOf, wrongIn } from "./stream-facts.ts";

const { signal } = new AbortController();

export function sourceWatchFacts({
  shop: fresh,
  open,
  begin,
  worker,
  stored,
  stream,
  until,
  when,
  server,
}: SourceGround): void {
  const { connector } = server;

  describe("the lag of a source", () => {
    test("tells how far the log goes, which is reached once all of it is read", async () => {
      const shop = await fresh();
      const { source, read } = await open(shop);
      const reading = read();
      /** As a worker looks: a heartbeat goes out for the next time. */
      const end = async (): Promise<Positions> => {
        const lag = await when(source.lag(signal));
        await when(Promise.resolve(source.heartbeat?.send()));
        return lag.end;
      };
      await until(() => reading.started, "the database to agree");
      const first = await end();
      await until(() => reaches(reading.reached, first), "what the log had reached at the beginning");
      const chunks = reading.chunks.length;
      reading.hold();
      await shop.commit(0);
      await until(() => reading.chunks.length > chunks, "the chunk that was waited for");
      await shop.commitSome();
      // It is about what the log had reached before, so one look may not be enough.
      const then = await until(async () => {
        const now = await end();
        return !reaches(reading.reached, now) && now;
      }, "the lag to go beyond what was read");

      reading.goOn();
      await until(() => reaches(reading.reached, then), "what the log had reached then");
      const all = shop.keys.flat().length;
      if (server.endIsOfFetched)
        await until(
          async () => reaches(reading.reached, await end()) && reading.changes.length >= all,
          "the rest of it",
        );
      expect(reading.changes.map(({ data }) => keyOf(data)).sort()).toEqual(shop.keys.flat().sort());
    });

    test("counts what is not acknowledged, and less once it is", async () => {
      const shop = await fresh();
      const { source, read } = await open(shop);
      const reading = read();
      await until(() => reading.started, "the database to agree");
      await shop.commit(0, 20, "x".repeat(1000));
      await until(() => reading.changes.length === 20, "the rows");
      const before = await when(source.lag(signal));
      expect(before.unconfirmedBytes).toBeGreaterThan(20_000);
      await when(source.acknowledge(reading.reached ?? new Map()));

      await until(
        async () => (await source.lag(signal)).unconfirmedBytes < before.unconfirmedBytes - 20_000,
        "less to be unconfirmed",
      );
    });
  });

  test("what a source holds back is measured by the names of its metrics, once there is something", async () => {
    const shop = await fresh();
    let worker: ContractWorker | undefined;
    const config = connector.parse(shop.database.section(), "sources.shop");
    await using probe = connector.watch(shop.id, config, { saved: async () => worker?.saved() });
    const { metrics, full } = probe;
    const names = metrics.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(await when(probe.look(undefined))).toBeUndefined();

    worker = await begin(shop);
    const { tracker } = worker;
    await shop.commitSome();
    await until(() => tracker.status().acknowledged > 0, "an acknowledgement");
    const held = await until(() => probe.look(tracker.through), "something to be held");
    for (const [name, value] of Object.entries(held)) {
      expect(names).toContain(name);
      if (value !== undefined) expect(value, name).toBeGreaterThanOrEqual(0);
    }
    for (const { name, unit, help, limit, hint, alarm } of metrics) {
      expect(name).toMatch(/^[a-z][A-Za-z]+$/);
      if (unit === undefined) expect([0, 1, undefined]).toContain(held[name]);
      for (const text of [help, hint, alarm(limit + 1, limit)]) expect(text.length).toBeGreaterThan(10);
    }
    if (full !== undefined) expect(names).toContain(full.measure);
  });

  test("who reads knows from its start on how far the stream was, and who stands by does not", async () => {
    const shop = await fresh();
    const first = await begin(shop);
    await shop.commitSome();
    await stored(shop);
    await until(() => first.tracker.status().acknowledged > 0, "an acknowledgement");
    const reached = first.tracker.through ?? expect.unreachable("nothing was acknowledged");
    await when(first.stop());

    const { tracker } = await begin(shop);
    const resumed = tracker.through;
    for (const [partition, position] of reached) expect(reaches(resumed, new Map([[partition, position]]))).toBe(true);
    const standby = await worker(shop);
    await until(() => standby.tracker.status().state === "waiting-for-lease", "the second worker to stand by");
    expect(standby.tracker.through).toBeUndefined();
  });

  test("a check finds what a start would, before and behind it, and changes nothing", async () => {
    const shop = await fresh();
    const check = async (
      saved: Readonly<Record<string, unknown>> | undefined,
      section: unknown,
    ): Promise<readonly Finding[]> => {
      const found: Finding[] = [];
      const config = connector.parse(section, "sources.shop");
      for await (const finding of connector.check(shop.id, config, { saved, others: new Map(), signal }))
        found.push(finding);
      return found;
    };
    const { database } = shop;
    const before = await database.contents();
    const first = await when(check(undefined, database.section()));
    expect(await database.contents()).toEqual(before);
    const { read, memory } = await open(shop);
    const reading = read();
    await until(() => reading.started, "the database to agree");
    const running = await database.contents();
    const second = await when(check(memory.value, database.section()));
    expect(await database.contents()).toEqual(running);

    const away = await when(check(undefined, server.nowhere()));
    expect([first, second, away].map((found) => found.some(({ level }) => level === "fail"))).toEqual([
      false,
      false,
      true,
    ]);
    for (const { code, subject, message } of [...first, ...second, ...away]) {
      expect(code).toMatch(/^[A-Z][A-Z_0-9]+$/);
      expect(subject.length).toBeGreaterThan(0);
      expect(message.length).toBeGreaterThan(5);
    }
  });

  test("what it reads is told by name, and its changes are of these", async () => {
    const shop = await fresh();
    const config = connector.parse(shop.database.section(), "sources.shop");
    const { read } = await open(shop);
    const reading = read();
    await until(() => reading.started, "the database to agree");
    await shop.commitSome();
    await until(() => reading.changes.length === shop.keys.flat().length, "the changes");
    const named = (await when(connector.collections(shop.id, config))).map(
      ({ namespace, name }) => `${namespace}.${name}`,
    );

    expect(named.length).toBeGreaterThan(0);
    for (const { kind } of reading.changes) expect(named).toContain(`${kind.namespace}.${kind.collection}`);
  });

  test("what it goes on without is in its notices, with a way out, and holds up nothing else", async () => {
    const shop = await fresh();
    const worker = await begin(shop);
    expect(worker.tracker.status().notices).toEqual([]);
    await shop.database.leaveOut();
    const [notice] = await until(() => {
      const { notices } = worker.tracker.status();
      return notices.length > 0 && notices;
    }, "a notice");
    await shop.commitSome();
    await stored(shop);

    expect(notice).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/), message: expect.any(String) });
    expect(worker.tracker.status().state).toBe("running");
  });

  test("a row that cannot be decoded is a poison marker in its place, and a dead letter", async () => {
    const shop = await fresh();
    const worker = await begin(shop);
    await shop.commit(0);
    const { poison } = shop.database;
    const keys = ["0-before", "0-behind"] as const;
    await poison(...keys);
    const last = shop.nextKey(0);
    await shop.commit(0);
    await stored(shop, 4);
    const events = (await stream(shop)).filter(({ subject }) => /^cdc\.|\.poison$/.test(subject));

    const told = events.map(({ subject, text }) => (subject.startsWith("cdc.") ? keyOf(text) : "poison"));
    expect(told).toEqual([shop.keys[0]?.[0], keys[0], "poison", keys[1], last]);
    expect(wrongIn(await stream(shop), shop)).toEqual([]);
    const [marker] = markersOf(events, "poison");
    expect(JSON.parse(marker?.text ?? "")).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/) });
    expect(worker.tracker.status()).toMatchObject({ state: "running", poison: 1 });
  });
}
