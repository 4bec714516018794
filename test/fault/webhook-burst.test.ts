// A burst of webhooks while workers and the bus's leader are killed: what was answered 2xx is on the bus, once; what is due by the clock
// as well. BURST=10000 BURST_KILLS=3 is the full size.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { freePort } from "../../src/dev/free-port.ts";
import { NatsCluster } from "../support/bus/nats-cluster.ts";
import { readStream } from "../support/bus/stream-events.ts";
import { type Delivery, delivery, forEach, Senders } from "../support/ingress/burst.ts";
import { erp, SECRET } from "../support/ingress.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const burst = Number(process.env.BURST ?? 400);
const kills = Number(process.env.BURST_KILLS ?? 1);
const AT_ONCE = 64;
/** What a worker may take beyond what it took before the burst, however long that is: all bodies in hand together, and room for them. */
const MAX_GROWTH_MB = 200;

const env = { SECRET };

async function ready(worker: WorkerProcess): Promise<void> {
  const asked = async () => (await fetch(`${worker.httpUrl}/readyz`)).status === 200;
  await waitFor(asked, { what: "the worker to be ready", timeoutMs: 60_000 });
}

/** The most that a process has had in memory since it was started, in MB. */
function peakMb(pid: number): number {
  const [, kb] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kb) / 1024;
}

/** The ids of the burst on the bus, in their order. */
async function storedIds(url: string): Promise<readonly string[]> {
  const events = await readStream(url, "MILLRACE_EVENTS");
  return events
    .filter(({ subject }) => subject.startsWith("events._in.erp.burst."))
    .map(({ header }) => (header("ce-id") ?? "").slice("erp.".length));
}

/** Each of these is stored, and nothing twice. */
function expectOnce(stored: readonly string[], answered: Iterable<string>): void {
  const ids = new Set(stored);
  expect(stored.length - ids.size, "doubled").toBe(0);
  expect(
    [...answered].filter((id) => !ids.has(id)),
    "answered, and not stored",
  ).toEqual([]);
}

describe.skipIf(missing("nats"))("a burst of webhooks", () => {
  test(`each of ${burst} that was answered 2xx is stored once, though the worker is killed under it, and its memory is bounded`, {
    timeout: 600_000,
  }, async () => {
    const nats = await freshNats();
    const port = await freePort();
    const ingress = { port, addressRate: { limit: 1_000_000, per: "1s" } };
    const bus = { servers: nats.url, fsync: "always" };
    await using first = await WorkerProcess.start({ bus, sources: {}, webhooks: { erp }, ingress }, { env });
    using senders = new Senders(AT_ONCE);
    await ready(first);
    await senders.sendUntilTaken(port, delivery("0"));
    const peaks = [peakMb(first.pid)];

    const all = Array.from({ length: burst }, (_, n) => delivery(`${n + 1}`, n % 50 === 0 ? 100_000 : 500));
    const answered = new Set(["0"]);
    const send = async (one: Delivery): Promise<void> => {
      if ((await senders.send(port, one)) === 200) answered.add(one.id);
    };
    const sending = forEach(all, AT_ONCE, send);
    await waitFor(() => answered.size > burst / 2, { what: "half of the answers", timeoutMs: 300_000 });
    peaks.push(peakMb(first.pid));
    await first.kill();
    await sending;
    expectOnce(await storedIds(nats.url), answered);
    expect(answered.size).toBeLessThan(burst);

    await using second = await first.again();
    await ready(second);
    const before = peakMb(second.pid);
    await forEach(all, AT_ONCE, (one) => senders.sendUntilTaken(port, one));
    peaks.push(before, peakMb(second.pid));
    console.error(`peaks of memory, MB: ${peaks.map(Math.round).join(", ")}`);
    const stored = await storedIds(nats.url);
    expectOnce(stored, answered);
    expect(stored).toHaveLength(burst + 1);
    const [idle = 0, half = 0] = peaks;
    expect(half - idle).toBeLessThan(MAX_GROWTH_MB);
    expect(peakMb(second.pid) - before).toBeLessThan(MAX_GROWTH_MB);
  });

  test("by two workers on a cluster whose leader is killed, copies at once are one event, and each due time is stored once", {
    timeout: 600_000,
  }, async () => {
    await using cluster = await NatsCluster.start();
    await cluster.formed();
    const ports = [await freePort(), await freePort()];
    const start = (port: number) =>
      WorkerProcess.start(
        {
          bus: { servers: cluster.urls, replicas: 3, fsync: "always" },
          ...{ sources: {}, webhooks: { erp }, ingress: { port }, rules: "./rules/*.yaml" },
        },
        { env, files: { "rules/tick.yaml": TICKS } },
      );
    await using one = await start(ports[0] as number);
    await using other = await start(ports[1] as number);
    using senders = new Senders(2 * AT_ONCE);
    await ready(one);
    await ready(other);
    const answered = new Set<string>();
    let copies = 0;
    let sent = 0;
    let over = false;
    // Copies of each at once to both workers; then again until it is taken, as a provider does whose webhook was answered 503.
    const sender = async (): Promise<void> => {
      while (!over) {
        const next = delivery(`c${sent++}`);
        const statuses = await Promise.all(
          Array.from({ length: 10 }, (_, nth) => senders.send(ports[nth % 2] as number, next)),
        );
        copies += statuses.length;
        if (statuses.includes(200)) answered.add(next.id);
        else await senders.sendUntilTaken(ports[sent % 2] as number, next);
        answered.add(next.id);
      }
    };
    const sending = Promise.all(Array.from({ length: 8 }, sender));
    for (let kill = 0; kill < kills; kill++) {
      const leader = cluster.node(await cluster.settled("MILLRACE_EVENTS"));
      const before = answered.size;
      await waitFor(() => answered.size > before + 30, { what: "answers", timeoutMs: 60_000 });
      await leader.kill();
      await waitFor(() => answered.size > before + 60, { what: "answers without it", timeoutMs: 60_000 });
      await leader.restart();
    }
    // A hundred copies at once, half of them to each worker.
    const hundred = delivery("hundred");
    over = true;
    await sending;
    await cluster.settled("MILLRACE_EVENTS");
    using fresh = new Senders(100);
    const statuses = await Promise.all(
      Array.from({ length: 100 }, (_, nth) => fresh.send(ports[nth % 2] as number, hundred)),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
    await one.kill();
    console.error(`${answered.size} webhooks, ${copies} copies`);

    const url = cluster.node(await cluster.settled("MILLRACE_EVENTS")).url;
    expectOnce(await storedIds(url), [...answered, "hundred"]);
    const due = await dueTimes(url);
    expect(due.length).toBeGreaterThan(5);
    const all = Array.from({ length: due.length }, (_, n) => (due[0] as number) + n * 1000);
    expect(due).toEqual(all);
  });
});

/** Each second: none may be missing, however long the bus was away. */
const TICKS = `id: ticks\non: { schedule: "every 1s", catchUp: all }\ndo: { emit: tick.heard, data: {} }\n`;

/** The due times that are stored, in their order. */
async function dueTimes(url: string): Promise<readonly number[]> {
  const events = await readStream(url, "MILLRACE_EVENTS");
  return events
    .filter(({ subject }) => subject.startsWith("events._schedule.ticks."))
    .map(({ header }) => Date.parse(header("ce-time") ?? ""));
}
