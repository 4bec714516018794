// Two workers of one source: the one that writes is killed or frozen, and the other one takes over in time.

import { describe, expect, test } from "vitest";
import { FaultGround, seedOf } from "../support/fault-ground.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const AFTER_KILL_MS = 5_000;
const AFTER_FREEZE_MS = 20_000;

interface Pair {
  readonly holder: WorkerProcess;
  readonly other: WorkerProcess;
}

/** Starts two; the first one holds the lease. */
async function startTwo(ground: FaultGround): Promise<Pair> {
  const configuration = ground.configuration();
  const holder = await WorkerProcess.start(configuration);
  await holder.logged("source_started");
  const other = await WorkerProcess.start(configuration);
  await other.logged("source_waiting_for_lease");
  return { holder, other };
}

async function newestLease(ground: FaultGround): Promise<number> {
  const marker = await ground.lastMessage("meta.shop.writer");
  return (JSON.parse(marker?.text ?? "{}") as { readonly lease?: number }).lease ?? 0;
}

/** Waits for the first event behind a newer writer's first marker; resolves to when the server stored it, in ms. */
async function takenOver(ground: FaultGround, lease: number): Promise<number> {
  const token = await waitFor(
    async () => {
      const marker = await ground.lastMessage("meta.shop.writer");
      return marker !== undefined && JSON.parse(marker.text).lease > lease && marker.seq;
    },
    { what: "the other worker's marker" },
  );
  return waitFor(
    () =>
      ground.withStreams(async ({ streams }) => {
        const { state } = await streams.info("CDC_SHOP");
        for (let seq = token + 1; seq <= state.last_seq; seq++) {
          const message = await streams.getMessage("CDC_SHOP", { seq });
          if (message?.subject.startsWith("cdc.")) return Date.parse(message.timestamp);
        }
        return false;
      }),
    { what: "its first event" },
  );
}

describe.skipIf(missing("postgres", "nats"))("of two workers", () => {
  test(`the other one writes within ${AFTER_KILL_MS} ms after the holder was killed`, async () => {
    await using ground = await FaultGround.start();
    const pair = await startTwo(ground);
    await using holder = pair.holder;
    await using other = pair.other;
    await using load = ground.write(seedOf("holder killed"));
    await waitFor(async () => (await ground.state()).lastSeq > 100, { what: "events" });

    const lease = await newestLease(ground);
    const killedMs = Date.now();
    await holder.kill();
    const tookMs = (await takenOver(ground, lease)) - killedMs;
    await load.stop();
    await ground.judge();

    console.error(`holder killed: the other one wrote after ${tookMs} ms`);
    expect(tookMs).toBeLessThan(AFTER_KILL_MS);
    expect(await other.stop()).toBe(0);
  });

  test(`the other one writes within ${AFTER_FREEZE_MS} ms after the holder was frozen, which steps down when it wakes`, async () => {
    await using ground = await FaultGround.start();
    const pair = await startTwo(ground);
    await using holder = pair.holder;
    await using other = pair.other;
    await using load = ground.write(seedOf("holder frozen"));
    await waitFor(async () => (await ground.state()).lastSeq > 100, { what: "events" });

    const lease = await newestLease(ground);
    const frozenMs = Date.now();
    holder.pause();
    const tookMs = (await takenOver(ground, lease)) - frozenMs;
    const logged = holder.logLines().length;
    holder.resume();
    const waiting = await waitFor(
      () => {
        const lines = holder.logLines().slice(logged);
        return lines.find(({ event }) => event === "source_waiting_for_lease");
      },
      { what: "the frozen one to wait for the lease" },
    );
    const writes = (await ground.state()).lastSeq;
    await waitFor(async () => (await ground.state()).lastSeq > writes + 100, { what: "the other one to go on" });
    await load.stop();
    await ground.judge();

    console.error(`holder frozen: the other one wrote after ${tookMs} ms`);
    expect(tookMs).toBeLessThan(AFTER_FREEZE_MS);
    expect(waiting.lease).toBeGreaterThan(lease);
    // It never wrote a marker again: the newest one is the other's.
    expect(await newestLease(ground)).toBe(waiting.lease);
    expect(await holder.stop()).toBe(0);
    expect(await other.stop()).toBe(0);
  });
});
