// `millrace backfill`: what is put on record, with no worker that obeys.

import { describe, expect, test } from "vitest";
import { shopCommand } from "../../support/process/shop-commands.ts";
import { freshNats, missing } from "../../support/servers.ts";

describe.skipIf(missing("nats"))("millrace backfill", () => {
  test("orders one copy at a time, lets it rest and go on, and ends it; the next one has another number", async () => {
    const { url } = await freshNats();
    const run = await shopCommand(url, ["backfill"]);

    expect(await run("pause", "shop")).toMatchObject({ code: 2, stderr: expect.stringMatching(/^BACKFILL_NONE: /) });
    expect((await run("start", "shop", "--rate", "100")).stdout).toMatch(
      /^copy 1 of shop is ordered: all that it reads;/,
    );
    expect(await run("start", "shop")).toMatchObject({ code: 2, stderr: expect.stringMatching(/^BACKFILL_RUNNING: /) });
    expect((await run("pause", "shop")).stdout).toBe("copy 1 of shop is paused\n");
    expect((await run("status", "shop")).stdout).toMatch(
      /^copy 1 of shop: not begun; asked for by \S+ at \S+: paused\n$/,
    );
    expect((await run("cancel", "shop")).stdout).toBe("copy 1 of shop is cancelled\n");
    expect((await run("start", "shop")).stdout).toMatch(/^copy 2 of shop /);
    expect(JSON.parse((await run("status", "shop", "--json")).stdout)).toMatchObject({
      ...{ order: { backfill: 2, state: "running" }, progress: null },
    });
  });
});
