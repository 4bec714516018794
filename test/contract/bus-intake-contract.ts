// The part of the bus contract about events from outside, and by the clock: each of them once, whoever stores it.

import { describe, expect, test } from "vitest";
import type { WorkerEvent } from "../../src/event/worker-event.ts";
import type { BusGround } from "./bus-ground.ts";

export function busIntakeContract(ground: BusGround): void {
  const { bus, read, when } = ground;
  let names = 0;
  /** Of a receiver that no other test has. */
  const arrival = (): WorkerEvent => {
    const receiver = `receiver_${++names}`;
    return {
      origin: "_in",
      aggregate: receiver,
      name: "invoice.paid",
      id: `${receiver}.1`,
      subject: receiver,
      lane: "p03",
      time: "2026-01-02T03:04:05.678Z",
      data: Buffer.from('{"body":1}'),
    };
  };
  const due = (automation: string, minute: number): WorkerEvent => ({
    ...arrival(),
    origin: "_schedule",
    aggregate: automation,
    name: "due",
    time: `2026-01-02T03:${String(minute).padStart(2, "0")}:00.000Z`,
  });
  const storedOf = async ({ aggregate }: WorkerEvent) =>
    (await read("MILLRACE_EVENTS")).filter(({ subject }) => subject.includes(`.${aggregate}.`));

  describe("what is received", () => {
    test("is stored once for its id, and whoever sends it again hears the note of the first", async () => {
      const [one, other] = [await bus(), await bus()];
      const event = arrival();
      const first = await when(one.receive(event, [{ key: event.id, note: "first" }]));
      const again = await when(one.receive(event, [{ key: event.id, note: "again" }]));
      const others = await when(other.receive({ ...event, data: Buffer.from("{}") }, [{ key: event.id }]));

      expect([first, again, others]).toEqual([
        { stored: true },
        { stored: false, note: "first" },
        { stored: false, note: "first" },
      ]);
      const stored = await storedOf(event);
      expect(stored.map(({ subject, text }) => [subject, text])).toEqual([
        [`events._in.${event.aggregate}.invoice~2Epaid.p03`, '{"body":1}'],
      ]);
      expect(stored[0]?.header("ce-id")).toBe(event.id);
    });

    test("is stored once of a hundred copies at once, by two workers, among others that are all stored", async () => {
      const [one, other] = [await bus(), await bus()];
      const event = arrival();
      const copies = Array.from({ length: 100 }, (_, n) => (n % 2 ? one : other).receive(event, [{ key: event.id }]));
      const rest = Array.from({ length: 100 }, (_, n) => {
        const id = `${event.aggregate}.other.${n}`;
        return (n % 2 ? one : other).receive({ ...event, id }, [{ key: id }]);
      });
      const outcomes = await when(Promise.all(copies));
      const others = await when(Promise.all(rest));

      expect(outcomes.filter(({ stored }) => stored)).toHaveLength(1);
      expect(others.every(({ stored }) => stored)).toBe(true);
      const ids = (await storedOf(event)).map(({ header }) => header("ce-id"));
      expect([ids.length, new Set(ids).size]).toEqual([101, 101]);
    });

    test("is known by each of its ids, and one that is known is enough", async () => {
      const worker = await bus();
      const event = arrival();
      const key = (name: string) => ({ key: `${event.aggregate}.${name}`, note: name });
      const receive = (...names: string[]) => when(worker.receive(event, names.map(key)));

      expect(await receive("a", "b", "a")).toEqual({ stored: true });
      expect(await receive("c", "b")).toEqual({ stored: false, note: "b" });
      expect(await receive("c")).toEqual({ stored: true }); // nothing of the one that was refused was kept
      expect(await storedOf(event)).toHaveLength(2);
    });

    test("without an id is stored each time", async () => {
      const worker = await bus();
      const event = arrival();
      const outcomes = await when(Promise.all([worker.receive(event, []), worker.receive(event, [])]));

      expect(outcomes).toEqual([{ stored: true }, { stored: true }]);
      expect(await storedOf(event)).toHaveLength(2);
    });

    test("may be larger than a message, with any text as its id", async () => {
      const worker = await bus();
      const text = JSON.stringify("x".repeat(3_000_000));
      const event = { ...arrival(), id: "\u00fc/\r\n 1.*", data: Buffer.from(text) };

      expect(await when(worker.receive(event, [{ key: event.id }]))).toEqual({ stored: true });
      expect((await storedOf(event)).map((one) => one.text === text)).toEqual([true]);
    });
  });

  describe("what is due", () => {
    test("is stored only behind the one that whoever stores it knows", async () => {
      const [one, other] = [await bus(), await bus()];
      const automation = `nightly_${++names}`;
      const none = await when(one.newest("_schedule", automation));
      const first = await when(one.fire(due(automation, 1), 0));
      const late = await when(other.fire(due(automation, 1), 0));
      const newest = await when(other.newest("_schedule", automation));
      const second = await when(other.fire(due(automation, 2), first ?? 0));

      expect([none, late]).toEqual([undefined, undefined]);
      expect(newest).toEqual({ sequence: first, time: "2026-01-02T03:01:00.000Z" });
      expect(second).toBeGreaterThan(first ?? Number.POSITIVE_INFINITY);
      expect(await storedOf(due(automation, 1))).toHaveLength(2);
    });

    test("is stored once of two workers at once, each time", async () => {
      const [one, other] = [await bus(), await bus()];
      const automation = `nightly_${++names}`;
      let after = 0;
      for (let minute = 0; minute < 10; minute++) {
        const fired = await when(
          Promise.all([one, other].map((worker) => worker.fire(due(automation, minute), after))),
        );
        const won = fired.filter((sequence) => sequence !== undefined);
        expect(won).toHaveLength(1);
        after = won[0] ?? 0;
      }
    });
  });
}
