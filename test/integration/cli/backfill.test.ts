// `millrace backfill`: what is put on record, with no worker that obeys.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { showBackfill, startBackfill, steerBackfill } from "../../../src/cli/command/backfill.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";

describe.skipIf(missing("nats"))("millrace backfill", () => {
  test("orders one copy at a time, lets it rest and go on, and ends it; the next one has another number", async () => {
    const { url } = await freshNats();
    const config = join(await scratchDir(), "millrace.config.json");
    const sources = {
      shop: { kind: "postgres", url: "postgres://nobody@127.0.0.1:1/none" },
      docs: { kind: "mongodb", url: "mongodb://127.0.0.1:1/?replicaSet=rs", database: "docs" },
    };
    await writeFile(config, JSON.stringify({ bus: { servers: url }, sources }));
    let said = "";
    const print = async (line: string): Promise<void> => {
      said = line;
    };
    const { signal } = new AbortController();
    const options = { config, signal, source: "shop", print };
    const start = { ...options, collections: [] };

    await showBackfill({ ...options, json: false });
    expect(said).toBe("shop was never copied");
    await expect(steerBackfill({ ...options, to: "pause" })).rejects.toMatchObject({ code: "BACKFILL_NONE" });
    await startBackfill({ ...start, rate: "100" });
    expect(said).toMatch(/^copy 1 of shop is ordered: all that it reads;/);
    await expect(startBackfill(start)).rejects.toMatchObject({ code: "BACKFILL_RUNNING" });
    await steerBackfill({ ...options, to: "pause" });
    expect(said).toBe("copy 1 of shop is paused");
    await showBackfill({ ...options, json: false });
    expect(said).toMatch(/^copy 1 of shop: not begun; asked for by \S+ at \S+: paused$/);
    await steerBackfill({ ...options, to: "resume" });
    expect(said).toBe("copy 1 of shop is running");
    await steerBackfill({ ...options, to: "cancel" });
    expect(said).toBe("copy 1 of shop is cancelled");
    await expect(steerBackfill({ ...options, to: "resume" })).rejects.toMatchObject({ code: "BACKFILL_NONE" });
    await startBackfill(start);
    await showBackfill({ ...options, json: true });
    expect(JSON.parse(said)).toMatchObject({ order: { backfill: 2, state: "running" }, progress: null });
    await expect(startBackfill({ ...start, rate: "none" })).rejects.toMatchObject({ code: "BACKFILL_RATE" });
    await expect(startBackfill({ ...start, source: "docs" })).rejects.toMatchObject({ code: "CAPABILITY_MISSING" });
  });
});
