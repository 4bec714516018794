// A stream that is full and keeps what it has: the source waits, says why, and loses nothing.

import { DiscardPolicy } from "@nats-io/jetstream";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../src/app.ts";
import { FaultGround, seedOf } from "../support/fault-ground.ts";
import { missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

describe.skipIf(missing("postgres", "nats"))("a full stream that discards what is new", () => {
  test("makes the source red with STREAM_FULL; with more room it goes on, nothing lost or doubled", async () => {
    await using ground = await FaultGround.start();
    const worker = await startWorker(ground.configuration(), {});
    worker.finished.catch(() => {}); // the test would see it
    onTestFinished(() => worker.stop());
    await waitFor(() => worker.status().ready, { what: "the source to be read" });
    await using load = ground.write(seedOf("stream full"));
    await waitFor(() => (worker.status().sources[0]?.published ?? 0) > 500, { what: "events before it" });
    const limit = (max_bytes: (bytes: number) => number): Promise<unknown> =>
      ground.withStreams(async ({ streams }) => {
        const { state } = await streams.info("CDC_SHOP");
        return streams.update("CDC_SHOP", { discard: DiscardPolicy.New, max_bytes: max_bytes(state.bytes) });
      });
    const code = (): string | undefined =>
      worker.status().parts.find(({ kind, ready }) => kind === "source" && !ready)?.code;

    await limit((bytes) => bytes + 50_000);
    await waitFor(() => code() === "STREAM_FULL", { what: "the source to be red" });
    expect(worker.status().sources[0]?.state).toBe("running");
    await limit(() => -1);
    await waitFor(() => worker.status().ready, { what: "all to be green again" });
    await load.stop();
    await ground.judge();
  });
});
