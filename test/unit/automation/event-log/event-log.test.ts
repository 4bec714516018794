import { expect, test } from "vitest";
import { EventLog, type ToldAt } from "../../../../src/automation/deliver/event-log.ts";
import type { LogRecord } from "../../../../src/bus/bus.ts";
import { TransientError } from "../../../../src/errors.ts";

interface Publish {
  /** `done [[1,2]]` or `skipped 3`. */
  readonly told: readonly string[];
  acknowledge(): void;
  refuse(error: Error): void;
}

/** A log whose publishes wait until the test acknowledges them. */
function logged(): { log: EventLog; publishes: readonly Publish[] } {
  const publishes: Publish[] = [];
  const store = (records: readonly LogRecord[]): Promise<ToldAt> =>
    new Promise((resolve, refuse) =>
      publishes.push({ told: records.map(short), acknowledge: () => resolve({ interruptions: 0, losses: 0 }), refuse }),
    );
  return { log: new EventLog({ automation: "mail", instance: "w1", wall: () => 0, store }), publishes };
}

function short({ subject, data }: LogRecord): string {
  const { ranges, sequence, run } = JSON.parse(Buffer.from(data).toString());
  return `${subject.replace("log.mail.", "")} ${ranges ? JSON.stringify(ranges) : sequence}${run ? ` in ${run}` : ""}`;
}

const event = (sequence: number, follows?: number, run?: string) => ({
  stream: "CDC_SHOP",
  run,
  delivery: { sequence, follows },
});
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("what is told in one turn is one publish, events of one outcome in one record", async () => {
  const { log, publishes } = logged();
  void log.tellOne("done", event(1));
  void log.tellOne("filtered", event(2, 1));
  void log.tellOne("done", event(3, 2));
  void log.tellAlone("skipped", event(4), {});
  await turn();
  expect(publishes.map(({ told }) => told)).toEqual([["done [[1,1],[3,3]]", "filtered [[2,2]]", "skipped 4"]]);
});

test("one publish is under way, and what is told meanwhile is the next", async () => {
  const { log, publishes } = logged();
  void log.tellOne("done", event(1));
  await turn();
  void log.tellOne("done", event(2, 1));
  await turn();
  void log.tellOne("done", event(3, 2));
  await turn();
  expect(publishes).toHaveLength(1);
  publishes[0]?.acknowledge();
  await turn();
  expect(publishes.map(({ told }) => told)).toEqual([["done [[1,1]]"], ["done [[2,3]]"]]);
});

test("an event counts as told once its own publish is acknowledged, not before", async () => {
  const { log, publishes } = logged();
  const told: number[] = [];
  void log.tellOne("done", event(1)).then(() => told.push(1));
  await turn();
  void log.tellOne("done", event(2)).then(() => told.push(2));
  publishes[0]?.acknowledge();
  await turn();
  expect(told).toEqual([1]);
  publishes[1]?.acknowledge();
  await turn();
  expect(told).toEqual([1, 2]);
});

test("whoever told hears what the bus refused, and what is told behind it goes on", async () => {
  const { log, publishes } = logged();
  const refused = expect(log.tellOne("done", event(1))).rejects.toThrow("closed");
  await turn();
  const next = log.tellOne("done", event(2));
  publishes[0]?.refuse(new TransientError("BUS_CLOSED", "closed"));
  await refused;
  await turn();
  publishes[1]?.acknowledge();
  await next;
  expect(publishes.map(({ told }) => told)).toEqual([["done [[1,1]]"], ["done [[2,2]]"]]);
});

test("events of another run, and of another stream, have records of their own", async () => {
  const { log, publishes } = logged();
  void log.tellOne("done", event(1));
  void log.tellOne("done", event(1, undefined, "r1"));
  void log.tellOne("done", { ...event(2, 1), stream: "MILLRACE_EVENTS" });
  await turn();
  expect(publishes[0]?.told).toEqual(["done [[1,1]]", "done [[1,1]] in r1", "done [[2,2]]"]);
});

test("a publish is bounded, whatever waits", async () => {
  const { log, publishes } = logged();
  for (let sequence = 1; sequence <= 2000; sequence++)
    void log.tellAlone("skipped", event(sequence), { reason: "x".repeat(500) });
  await turn();
  expect(publishes[0]?.told.length).toBeLessThan(400);
  for (let nth = 0; nth < publishes.length; nth++) {
    publishes[nth]?.acknowledge();
    await turn();
  }
  const told = publishes.flatMap((publish) => publish.told);
  expect(told).toEqual(Array.from({ length: 2000 }, (_, n) => `skipped ${n + 1}`));
});

test("what may stand since before a crash, and is looked for first, keeps no other outcome waiting", async () => {
  const { log, publishes } = logged();
  const told: string[] = [];
  void log.tellAlone("dead", event(1), {}, { id: "1", since: 5 }).then(() => told.push("dead"));
  void log.tellAlone("dead", event(2), {}, { id: "2" }).then(() => told.push("dead for the first time"));
  void log.tellOne("done", event(3)).then(() => told.push("done"));
  await turn();
  expect(publishes.map((publish) => publish.told)).toEqual([["dead 1"], ["done [[3,3]]", "dead 2"]]);
  publishes[1]?.acknowledge();
  await turn();
  void log.tellOne("done", event(4));
  await turn();
  expect(publishes[2]?.told).toEqual(["done [[4,4]]"]);
  expect(told).toEqual(["dead for the first time", "done"]);
  publishes[0]?.acknowledge();
  await turn();
  expect(told).toContain("dead");
});
