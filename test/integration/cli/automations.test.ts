// `millrace automations`, as people and scripts run it.

import { jetstream } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { onOrder, startWorker } from "../../support/automations.ts";
import { shopCommand } from "../../support/process/shop-commands.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const count = z.int().nonnegative();
const asked = { by: z.string(), at: z.iso.datetime() };
const runs = z.record(z.string(), z.tuple([count, count]));
/** As docs/cli.md has it. */
const listed = z.array(
  z.strictObject({
    id: z.string(),
    state: z.enum(["running", "paused", "stopped", "new", "orphaned"]),
    paused: z.strictObject(asked).nullable(),
    pending: count,
    unacked: count,
    waiting: count,
    dead: count,
    blockedKeys: count,
    shadow: z.boolean(),
    nextDue: z.iso.datetime().optional(),
    seek: z
      .strictObject({
        n: count,
        to: z.string(),
        ...asked,
        starts: z.record(z.string(), count),
        skipped: runs.optional(),
      })
      .nullable(),
    durables: z.array(z.strictObject({ stream: z.string(), durable: z.string(), pending: count, unacked: count })),
  }),
);

describe.skipIf(missing("nats"))("millrace automations", () => {
  test("lists by its schema, pauses, resumes and seeks", async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const run = await shopCommand(url, ["automations"]);
    const list = async () => {
      const { code, stdout, stderr } = await run("list", "--json");
      expect([code, stderr]).toEqual([0, ""]);
      return listed.parse(JSON.parse(stdout));
    };
    await using worker = await startWorker({ url, automations: [onOrder("mail", () => {}), onOrder("old", () => {})] });
    await stream.order("created", { id: 1, status: "new" });
    await waitFor(() => worker.metrics.counts["mail.handled"] === 1, { what: "the event" });
    expect((await list()).map(({ id, state }) => [id, state])).toEqual([
      ["mail", "running"],
      ["bill", "new"],
      ["old", "orphaned"],
    ]);

    // Its subscriptions are forgotten, and what is left of it is not.
    for (const subject of ["dead.gone", "dead._source.shop", "retry.gone"])
      await jetstream(stream.nc).publish(subject, "{}");
    expect((await list()).at(2)).toMatchObject({ id: "gone", state: "orphaned", waiting: 1, dead: 1, durables: [] });
    expect((await run("list")).stdout).toMatch(/\ngone .*\n.*of this id\n.*millrace check.*\n.*dead list gone\n/);

    expect(await run("pause", "mail")).toMatchObject({ code: 0, stdout: expect.stringContaining("mail is paused") });
    expect(await run("pause", "mail")).toMatchObject({ code: 0, stdout: expect.stringContaining("mail is paused") });
    await stream.order("created", { id: 2, status: "new" });
    expect((await list())[0]).toMatchObject({ id: "mail", state: "paused", pending: 1, paused: {} });
    const table = await run("list");
    expect(table.stdout).toContain("paused it at");
    expect(table.stdout).toContain("nats consumer rm CDC_SHOP old");
    for (const line of table.stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
    const sought = await run("seek", "mail", "now");
    expect(sought.stdout).toContain("once it is resumed");
    expect(sought.stdout).toContain("skipped of CDC_SHOP: what was not settled of #2 to #2");
    expect((await list())[0]).toMatchObject({ seek: { n: 1, to: "now", skipped: { CDC_SHOP: [2, 2] } } });
    expect(await run("resume", "mail")).toMatchObject({ code: 0, stdout: "mail goes on\n" });
    expect(await run("seek", "mail", "1")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("CDC_SHOP from #1"),
    });
    await waitFor(() => worker.metrics.counts["mail.handled"] === 3, { what: "both again" });
    const standing = { pending: 0, unacked: 0 };
    expect((await list())[0]?.durables).toEqual([
      { stream: "CDC_SHOP", durable: "mail_s2", ...standing },
      { stream: "MILLRACE_RETRY", durable: "mail", ...standing }, // a seek leaves replays where they are
    ]);
  });

  test("refuses what it does not know with exit code 2, and the name that was probably meant", async () => {
    const { url } = await freshNats();
    await using _stream = await ShopStream.create(url);
    const run = await shopCommand(url, ["automations"]);
    const [paused, refused, ...places] = await Promise.all([
      run("pause", "bill"),
      run("pause", "mial"),
      ...["soon", "2999-01-01", "0"].map((to) => run("seek", "mail", to)),
    ]);
    expect(paused).toMatchObject({ code: 0, stdout: expect.stringContaining("no worker takes its events") });
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("AUTOMATION_UNKNOWN: the configuration has no automation mial");
    expect(refused.stderr).toContain("did you mean mail?");
    for (const place of places)
      expect(place).toMatchObject({ code: 2, stderr: expect.stringContaining("SEEK_TARGET") });
  });
});
