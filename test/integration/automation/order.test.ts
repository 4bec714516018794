// `order: "key"`: of events of one key the next begins only when the one before is settled, within a worker and across them.

import { describe, expect, test } from "vitest";
import { askBlocked, listBlocked } from "../../../src/automation/order/blocked-keys.ts";
import type { Bus } from "../../../src/bus/bus.ts";
import type { StateStore } from "../../../src/bus/state-store.ts";
import { onOrder, startWorker } from "../../support/automations.ts";
import { overlaid, overlaidBus } from "../../support/bus/overlaid-bus.ts";
import type { Note } from "../../support/check/automation-order.ts";
import { orderFaults } from "../../support/check/order-faults.ts";
import { AutomationProcess } from "../../support/process/automation-process.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("nats"))("an automation in order by key", () => {
  test("begins the next of a key once the one before is settled, its retries included, beside other keys", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const begun: string[] = [];
    const running = new Set<number>();
    let overlaps = 0;
    const ordered = onOrder(
      "ordered",
      async ({ event, attempt }) => {
        const { id, status } = event.after;
        if (running.has(id)) overlaps++;
        running.add(id);
        begun.push(`${id}/${status}/${attempt}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running.delete(id);
        if (status === "fails" || (status === "a" && attempt === 1)) throw new Error("no");
      },
      { order: "key", retry: { attempts: 2, min: 300, max: 300 } },
    );
    for (const status of ["a", "fails", "c"]) for (const id of [1, 2]) await stream.order("created", { id, status });
    await stream.order("created", { id: 3, status: "b" });
    await using worker = await startWorker({ url: nats.url, automations: [ordered] });
    await waitFor(() => worker.metrics.counts["ordered.handled"] === 5, { what: "all to be handled" });

    const of = (id: number): readonly string[] => begun.filter((one) => one.startsWith(`${id}/`));
    for (const id of [1, 2]) {
      expect(of(id)).toEqual([`${id}/a/1`, `${id}/a/2`, `${id}/fails/1`, `${id}/fails/2`, `${id}/c/1`]);
    }
    expect(begun.indexOf("3/b/1")).toBeLessThan(begun.indexOf("1/a/2"));
    expect(overlaps).toBe(0);
    expect(await stream.deadLetters("ordered")).toHaveLength(2);
  });

  test("goes on with the keys of a worker that was killed within 15 s, in their order", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const notes: Note[] = [];
    const order = { url: nats.url, automations: ["mail"], concurrency: 4, ackWaitMs: 6000, order: "key" } as const;
    await stream.orders(Array.from({ length: 120 }, (_, n) => ({ id: n % 6, status: "slow:20" })));
    await using first = new AutomationProcess(order, (note) => notes.push(note));
    await waitFor(() => notes.length > 20, { what: "the first one to work" });
    await using second = new AutomationProcess(order, (note) => notes.push(note));
    await waitFor(() => second.log.includes("automation_started"), { what: "the second one to stand by" });
    const killedAt = Date.now();
    await first.kill();
    for (let n = 0; n < 60; n++) await stream.order("created", { id: n % 6, status: "once" });
    await waitFor(async () => (await stream.open("mail")) === 0, { what: "all to be settled" });

    const goneOn = Math.min(...notes.filter(({ pid }) => pid === second.pid).map(({ at }) => at));
    expect(goneOn - killedAt).toBeLessThan(15_000);
    expect(orderFaults(notes)).toEqual([]);
    expect(new Set(notes.filter(({ what }) => what === "ok").map(({ sequence }) => sequence)).size).toBe(180);
  });

  test("goes on while a worker stands still, and that one begins nothing that another has had", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const notes: Note[] = [];
    const order = { url: nats.url, automations: ["mail"], concurrency: 4, ackWaitMs: 6000, order: "key" } as const;
    await stream.orders(Array.from({ length: 200 }, (_, n) => ({ id: n % 5, status: "slow:20" })));
    await using first = new AutomationProcess(order, (note) => notes.push(note));
    await waitFor(() => notes.length > 20, { what: "the first one to work" });
    first.freeze();
    const frozenAt = Date.now();
    await using second = new AutomationProcess(order, (note) => notes.push(note));
    await waitFor(() => notes.some(({ pid }) => pid === second.pid), { what: "the second one" });
    await waitFor(() => Date.now() - frozenAt > 15_000, { what: "15 s of standing still" });
    const before = notes.length;
    first.wake();
    for (let n = 0; n < 60; n++) await stream.order("created", { id: n % 5, status: "ok" });
    await waitFor(async () => (await stream.open("mail")) === 0, { what: "all to be settled" });

    // What it had begun it ends; its effects stand beside the other one's, for nobody can call a handler back.
    const late = notes.slice(before).filter(({ what, pid }) => what === "start" && pid === first.pid);
    expect(late.filter(({ sequence }) => sequence <= 200)).toEqual([]);
    const zombie = notes.slice(before).filter(({ what, pid }) => what === "ok" && pid === first.pid);
    expect(orderFaults(notes.filter((note) => !zombie.includes(note)))).toEqual([]);
    expect(new Set(notes.filter(({ what }) => what === "ok").map(({ sequence }) => sequence)).size).toBe(260);
  });

  test("keeps its order through a restart of nats-server", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const notes: Note[] = [];
    const order = { url: nats.url, automations: ["mail"], concurrency: 4, ackWaitMs: 6000, order: "key" } as const;
    await using first = new AutomationProcess(order, (note) => notes.push(note));
    await using second = new AutomationProcess(order, (note) => notes.push(note));
    await stream.orders(Array.from({ length: 300 }, (_, n) => ({ id: n % 5, status: "slow:10" })));
    for (let n = 0; n < 50; n++) await stream.order("created", { id: n % 5, status: "once" });
    await waitFor(() => notes.length > 100, { what: "work" });
    await nats.restart();
    await waitFor(async () => (await stream.open("mail")) === 0, { what: "all to be settled", timeoutMs: 60_000 });

    expect([first.running, second.running]).toEqual([true, true]);
    expect(orderFaults(notes)).toEqual([]);
    expect(new Set(notes.filter(({ what }) => what === "ok").map(({ sequence }) => sequence)).size).toBe(350);
  });

  test("stops the key of an event that used up its attempts until somebody resumes it, or drops it", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    let works = false;
    const begun: string[] = [];
    const blocking = onOrder(
      "blocking",
      ({ event, attempt }) => {
        begun.push(`${event.after.id}/${event.after.status}/${attempt}`);
        if (event.after.status === "bad" && !works) throw new Error("no");
      },
      { order: "key", onExhausted: "block", retry: { attempts: 2, min: 20, max: 20 } },
    );
    for (const id of [1, 2, 3]) await stream.order("created", { id, status: id === 3 ? "good" : "bad" });
    for (const id of [1, 2]) await stream.order("created", { id, status: "behind" });
    const first = await startWorker({ url: nats.url, automations: [blocking] });
    await waitFor(() => first.running.status()[0]?.keys?.blocked === 2, { what: "two keys to stand still" });
    expect(first.running.status()[0]?.obstacle?.code).toBe("AUTOMATION_KEYS_BLOCKED");
    expect(begun).toEqual(expect.arrayContaining(["1/bad/2", "2/bad/2", "3/good/1"]));
    await first.kill();
    // Another worker finds them as they were, and nothing of them begins.
    await using second = await startWorker({ url: nats.url, automations: [blocking] });
    await waitFor(() => second.running.status()[0]?.keys?.blocked === 2, { what: "them again" });
    expect(begun).toHaveLength(5);
    works = true;
    const keys = await listBlocked(second.bus.state, "blocking");
    expect(keys.map(({ lane, reason, attempts }) => [lane.split("/").at(-1), reason, attempts]).sort()).toEqual([
      ["1", "exhausted", 2],
      ["2", "exhausted", 2],
    ]);
    await askBlocked(second.bus.state, "blocking", ({ lane }) => lane.endsWith("/1"), "resume");
    await askBlocked(second.bus.state, "blocking", ({ lane }) => lane.endsWith("/2"), "drop");
    await waitFor(async () => (await stream.open("blocking")) === 0, { what: "all to be settled" });

    expect(begun.slice(5).sort()).toEqual(["1/bad/1", "1/behind/1", "2/behind/1"]);
    expect(await stream.deadLetters("blocking")).toMatchObject([{ reason: "exhausted", attempts: 2 }]);
    expect(await listBlocked(second.bus.state, "blocking")).toEqual([]);
  });

  test("puts followers of a key that stands still aside, so that others go on, and has them in order behind a kill", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    let works = false;
    const begun: number[] = [];
    let others = 0;
    const hot = onOrder(
      "hot",
      ({ event }) => {
        if (event.after.id !== 0) others++;
        else if (event.after.status === "first" && !works) throw new Error("no");
        else begun.push(event.sequence);
      },
      { order: "key", onExhausted: "block", retry: { attempts: 1 }, concurrency: 8 },
    );
    const firstSequence = await stream.order("created", { id: 0, status: "first" });
    await stream.orders(Array.from({ length: 500 }, () => ({ id: 0, status: "follower" })));
    await stream.orders(Array.from({ length: 50 }, (_, n) => ({ id: n + 1, status: "other" })));
    const first = await startWorker({ url: nats.url, automations: [hot] });
    await waitFor(() => others === 50, { what: "the others" });
    const { held = 0, keys } = first.running.status()[0] ?? {};
    expect(held).toBeLessThanOrEqual(512);
    expect(keys?.parked).toBeGreaterThan(300);
    await first.kill();
    await stream.orders(Array.from({ length: 600 }, () => ({ id: 0, status: "later" })));
    let filled = (): boolean => false;
    // It takes all that it can while it reads what the first one has put aside.
    const through = (bus: Bus): Bus => {
      const { state } = bus;
      const get: StateStore["get"] = async (key) => {
        const found = await state.get(key);
        if (key.startsWith("parked.hot.")) await waitFor(filled, { what: "its hand to be full" });
        return found;
      };
      return overlaidBus(bus, { state: overlaid(state, { get }) });
    };
    await using second = await startWorker({ url: nats.url, automations: [hot], through });
    let wasFilled = false;
    filled = () => {
      const [{ held: its = 0, keys: of } = {}] = second.running.status();
      wasFilled ||= its >= 512 || (of?.parked ?? 0) > 300;
      return wasFilled;
    };
    await waitFor(() => second.running.status()[0]?.keys?.blocked === 1, { what: "the key again" });
    expect(begun).toEqual([]);
    works = true;
    await askBlocked(second.bus.state, "hot", () => true, "resume");
    await waitFor(() => begun.length >= 1101, { what: "the followers", timeoutMs: 60_000 });
    await waitFor(async () => (await stream.open("hot")) === 0, { what: "all to be settled" });

    expect(begun).toEqual(
      Array.from({ length: 1151 }, (_, nth) => firstSequence + nth).filter((_, nth) => nth < 501 || nth > 550),
    );
    await waitFor(async () => (await second.bus.state.keys("parked.hot.")).length === 0, { what: "the record to go" });
    expect(second.running.status()[0]?.keys).toEqual({ blocked: 0, oldestBlockedMs: 0, parked: 0 });
  });
});
