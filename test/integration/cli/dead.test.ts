// `millrace dead`: letters that real automations left, seen, handed out again and put away.

import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { onOrder, startWorker } from "../../support/automations.ts";
import { type RunShopCommand, shopCommand } from "../../support/process/shop-commands.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const count = z.int().nonnegative();
/** As docs/cli.md has it. */
const letter = z.strictObject({
  id: count,
  automation: z.string().nullable(),
  source: z.string().nullable(),
  reason: z.string(),
  run: z.string().nullable(),
  attempts: count,
  firstAt: z.string().nullable(),
  at: z.iso.datetime(),
  error: z.record(z.string(), z.unknown()),
  fingerprint: z.string(),
  stream: z.string().nullable(),
  sequence: count.nullable(),
  eventId: z.string().nullable(),
  subject: z.string().nullable(),
  headers: z.record(z.string(), z.string()).nullable(),
  row: z.strictObject({ id: z.string(), position: z.string(), size: z.string() }).optional(),
});

const list = async (run: RunShopCommand, ...args: string[]) => {
  const { code, stdout, stderr } = await run("list", "--json", ...args);
  expect([code, stderr]).toEqual([0, ""]);
  return z.array(letter).parse(JSON.parse(stdout));
};

describe.skipIf(missing("nats"))("millrace dead", () => {
  test("replays letters to their automation alone, each in a run of its own, and takes them away; what fails again is a new one", async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const run = await shopCommand(url, ["dead"]);
    const started: string[] = [];
    const mended = new Set<number>();
    const work = (name: string) =>
      onOrder(name, ({ event, fatal }) => {
        started.push(`${name} ${event.after.id}`);
        if (name === "mail" && event.after.status === "bad" && !mended.has(event.after.id))
          throw fatal(`no mail for order ${event.after.id}`);
      });
    await using worker = await startWorker({ url, automations: [work("mail"), work("bill")] });
    for (let id = 1; id <= 3; id++) await stream.order("created", { id, status: id === 2 ? "good" : "bad" });
    await waitFor(() => worker.metrics.counts["mail.fatal"] === 2 && worker.metrics.counts["bill.handled"] === 3, {
      what: "the letters",
    });
    const letters = await list(run);
    expect(
      letters.map(({ id, automation, reason, attempts, stream: of, sequence }) => [
        id,
        automation,
        reason,
        attempts,
        of,
        sequence,
      ]),
    ).toEqual([
      [1, "mail", "fatal", 1, "CDC_SHOP", 1],
      [2, "mail", "fatal", 1, "CDC_SHOP", 3],
    ]);
    expect(new Set(letters.map(({ fingerprint }) => fingerprint)).size).toBe(1);
    const table = (await run("list")).stdout;
    expect(table).toMatch(/mail +fatal +2 +[\da-f]{12}/);
    for (const line of table.split("\n")) expect(line.length).toBeLessThanOrEqual(100);

    started.length = 0;
    mended.add(1);
    expect(await run("replay", "mail", "--yes", "--note", "the server is back")).toMatchObject({
      code: 0,
      stdout: "2 handed out once more, to their automation alone\n",
    });
    await waitFor(() => started.length === 2 && worker.metrics.counts["mail.fatal"] === 3, { what: "both again" });
    expect(started.toSorted()).toEqual(["mail 1", "mail 3"]);
    const jsm = await jetstreamManager(stream.nc);
    const told = await jsm.streams.getMessage("MILLRACE_EVENTS", {
      last_by_subj: "events._system.dead.replayed.>",
    });
    expect(told?.json()).toMatchObject({ automation: "mail", count: 2, letters: [1, 2], note: "the server is back" });
    // The one that failed again is a letter anew.
    await waitFor(async () => (await list(run)).length === 1, { what: "its letter" });
    expect(await list(run)).toMatchObject([
      { id: 3, automation: "mail", sequence: 3, run: expect.stringMatching(/^dead-2-/) },
    ]);
    mended.add(3);
    expect((await run("replay", "3", "--yes")).code).toBe(0);
    await waitFor(() => started.length === 3, { what: "the last one" });
    expect(started.at(-1)).toBe("mail 3");
    expect(await list(run)).toEqual([]);
    expect(await run("replay", "3", "--yes")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("DEAD_UNKNOWN"),
    });
  });

  test("shows one whole, drops by filter and on record, and does nothing without --yes", async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const run = await shopCommand(url, ["dead"]);
    const bad = onOrder(
      "mail",
      ({ event, fatal }) => {
        throw event.after.id === 1 ? fatal("never") : new Error("not yet");
      },
      { retry: { attempts: 2, min: 20, max: 50 } },
    );
    {
      await using worker = await startWorker({ url, automations: [bad] });
      for (let id = 1; id <= 3; id++) await stream.order("created", { id, status: "new" });
      await waitFor(() => worker.metrics.counts["mail.exhausted"] === 2 && worker.metrics.counts["mail.fatal"] === 1, {
        what: "the letters",
      });
    }
    await stream.raw(
      "dead._source.shop",
      "Millrace-Error: ROW_TOO_LARGE\r\nMillrace-Position: 0001.a\r\nMillrace-Size: 9\r\nce-id: shop.poison.1\r\n",
      "raw bytes",
    );
    await stream.raw("dead.mail", "", "no JSON at all");
    const all = await list(run);
    expect(all).toHaveLength(5);
    expect(all[3]).toMatchObject({
      automation: null,
      source: "shop",
      reason: "ROW_TOO_LARGE",
      eventId: "shop.poison.1",
    });
    expect(all[4]).toMatchObject({ automation: "mail", reason: "unknown", stream: null });
    expect((await list(run, "mail", "--reason", "exhausted")).length).toBe(2);
    expect(
      (await list(run, "--fingerprint", String(all.find(({ reason }) => reason === "fatal")?.fingerprint))).length,
    ).toBe(1);
    expect(await list(run, "--since", new Date(Date.now() + 60_000).toISOString())).toEqual([]);

    const fatal = all.find(({ reason }) => reason === "fatal");
    const [shown, asJson, source] = await Promise.all([
      run("show", String(fatal?.id)),
      run("show", String(fatal?.id), "--json"),
      run("show", "4"),
    ]);
    expect(shown.stdout).toContain('"after":{"id":1,"status":"new"}');
    expect(letter.extend({ data: z.string() }).parse(JSON.parse(asJson.stdout)).data).toContain('"id":1');
    expect(source.stdout).toContain("raw bytes");

    const refusals = await Promise.all([
      run("drop", "mail"),
      run("replay", "mail"),
      run("show", "99"),
      run("list", "mial"),
    ]);
    expect(refusals.map(({ code, stderr }) => [code, stderr.split(":")[0]])).toEqual([
      [2, "DEAD_UNCONFIRMED"],
      [2, "DEAD_UNCONFIRMED"],
      [2, "DEAD_UNKNOWN"],
      [2, "AUTOMATION_UNKNOWN"],
    ]);
    expect(await list(run)).toHaveLength(5);
    const rows = await run("replay", "4", "--yes");
    expect(rows).toMatchObject({ code: 2, stderr: expect.stringContaining("DEAD_REPLAY_REFUSED") });
    expect(rows.stdout).toContain("not #4: it is a row that could not become an event");

    expect(await run("drop", "mail", "--reason", "exhausted", "--note", "known", "--yes")).toMatchObject({
      code: 0,
      stdout: "2 put away\n",
    });
    expect((await list(run)).map(({ reason }) => reason)).toEqual(["fatal", "ROW_TOO_LARGE", "unknown"]);
    const jsm = await jetstreamManager(stream.nc);
    const told = await jsm.streams.getMessage("MILLRACE_EVENTS", {
      last_by_subj: "events._system.dead.dropped.>",
    });
    expect(told?.json()).toMatchObject({
      automation: "mail",
      state: "dropped",
      count: 2,
      note: "known",
      source: "shop",
    });
  });
});
