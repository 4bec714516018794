// `millrace automations keys`: lists the keys that stand still, and resumes or drops them.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { onOrder, startWorker } from "../../support/automations.ts";
import { shopCommand } from "../../support/process/shop-commands.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

/** As docs/cli.md has it. */
const listed = z.array(
  z.strictObject({
    key: z.string(),
    event: z.string(),
    sequence: z.int().positive(),
    since: z.iso.datetime(),
    reason: z.enum(["exhausted", "expired", "fatal", "crashed"]),
    attempts: z.int().positive(),
    error: z.strictObject({ name: z.string(), message: z.string() }),
    asked: z.enum(["resume", "drop"]).nullable(),
  }),
);

describe.skipIf(missing("nats"))("millrace automations keys", () => {
  test("lists by its schema, resumes one and drops the others, with a worker that obeys and without", async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const run = await shopCommand(
      url,
      ["automations"],
      'automation("mail", { on: orders.created(), order: "key", onExhausted: "block" }, () => {})',
    );
    let works = false;
    const begun: string[] = [];
    const mail = onOrder(
      "mail",
      ({ event }) => {
        if (event.after.status === "bad" && !works) throw new Error("no");
        begun.push(`${event.after.id}/${event.after.status}`);
      },
      { order: "key", onExhausted: "block", retry: { attempts: 1 } },
    );
    for (const id of [1, 2, 3]) await stream.order("created", { id, status: "bad" });
    for (const id of [1, 2, 3]) await stream.order("created", { id, status: "behind" });
    const first = await startWorker({ url, automations: [mail] });
    await waitFor(() => first.running.status()[0]?.keys?.blocked === 3, { what: "three keys to stand still" });
    const keys = await run("keys", "mail", "--json");
    expect(listed.parse(JSON.parse(keys.stdout)).map(({ key, attempts }) => [key, attempts])).toEqual(
      expect.arrayContaining([
        ["public.orders/1", 1],
        ["public.orders/2", 1],
      ]),
    );
    expect((await run("keys", "mail")).stdout).toContain("exhausted after 1 attempts: Error: no");
    expect(JSON.parse((await run("list", "--json")).stdout)).toMatchObject([{ id: "mail", blockedKeys: 3 }]);

    works = true;
    expect(await run("keys", "mail", "--resume", "1")).toMatchObject({
      code: 0,
      stdout: "public.orders/1 is resumed\n",
    });
    await waitFor(() => begun.length === 2, { what: "the key to go on" });
    expect(begun).toEqual(["1/bad", "1/behind"]);
    await first.stop();
    const dropped = await run("keys", "mail", "--drop", "--all");
    expect(dropped.stdout).toContain("public.orders/2 waits for a worker that runs it, to be dropped");
    await using _second = await startWorker({ url, automations: [mail] });
    await waitFor(() => begun.length === 4, { what: "the others to go on" });

    expect(begun.slice(2).sort()).toEqual(["2/behind", "3/behind"]);
    expect(await stream.deadLetters("mail")).toHaveLength(2);
    expect((await run("keys", "mail")).stdout).toBe("no key of mail stands still\n");
  });

  test("refuses a key that does not stand still, and what does not say which, with exit code 2", async () => {
    const { url } = await freshNats();
    await using _stream = await ShopStream.create(url);
    const run = await shopCommand(
      url,
      ["automations"],
      'automation("mail", { on: orders.created(), order: "key", onExhausted: "block" }, () => {})',
    );
    expect(await run("keys", "mail", "--resume", "9")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("KEY_UNKNOWN"),
    });
    for (const args of [["--resume"], ["--all"], ["--resume", "1", "--drop", "1"], ["--drop", "1", "--all"]]) {
      expect(await run("keys", "mail", ...args)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("KEYS_ASKED"),
      });
    }
  });
});
