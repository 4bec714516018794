// `millrace source remove` from outside: it says what is lost, needs a yes, and leaves nothing behind that fills a disk.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Objm } from "@nats-io/obj";
import { connect } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { startWorker } from "../../../src/app.ts";
import { openRetryStream } from "../../../src/bus/jetstream/client/retry-stream.ts";
import { automation, collection } from "../../../src/index.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const number = z.number().nullable();

/** As docs/cli.md says. */
const report = z.strictObject({
  source: z.string(),
  slot: z
    .strictObject({ name: z.string(), pid: z.int().nullable(), retainedBytes: number, unconfirmedBytes: number })
    .nullable(),
  publication: z.strictObject({ name: z.string(), ours: z.boolean() }).nullable(),
  bus: z
    .strictObject({
      stream: z.string(),
      messages: z.int(),
      bytes: z.int(),
      durables: z.array(z.strictObject({ name: z.string(), pending: z.int(), automation: z.boolean() })),
    })
    .nullable(),
  removesStream: z.boolean(),
  removed: z.boolean(),
  left: z.array(z.strictObject({ what: z.enum(["database", "bus"]), code: z.string(), message: z.string() })),
});

describe.skipIf(missing("postgres", "nats"))("millrace source remove", () => {
  test("refuses while the worker reads and without --yes; then slot and publication go, and with --stream all the rest", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats({ syncInterval: "always" });
    await database.query("create table orders(id int primary key)");
    const config = {
      bus: { servers: nats.url, fsync: "always" },
      sources: {
        shop: { kind: "postgres", url: database.url },
        other: { kind: "postgres", url: database.url },
      },
    };
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
    const remove = (...args: readonly string[]): Promise<CommandResult> =>
      runCommand(["source", "remove", ...args], { cwd });
    const failing = automation(
      "failing",
      { on: collection("shop", "public.orders").created(), retry: { attempts: 50, min: "1m", max: "2m" } },
      async () => {
        throw new Error("not today");
      },
    );
    const worker = await startWorker({ ...config, automations: [failing] });
    worker.finished.catch(() => {}); // the test would see it
    await waitFor(
      () =>
        worker.status().sources.every(({ state }) => state === "running") &&
        worker.status().automations[0]?.state === "running",
      { what: "the worker to run" },
    );
    await database.query("insert into orders values (1)");
    await waitFor(() => worker.status().automations[0]?.retried === 1, { what: "an attempt on record" });

    const read = await remove("shop", "--yes");
    expect(read).toMatchObject({ code: 1, stderr: expect.stringMatching(/^SLOT_ACTIVE: .+\nfix: Stop the worker /) });
    await worker.stop();

    const unsure = await remove("shop", "--stream");
    expect(unsure).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^SOURCE_REMOVE_UNCONFIRMED: .+\nfix: .*--yes/),
    });
    expect(unsure.stdout).toMatch(
      /^source shop\n {2}slot millrace_shop: frees .+\n {2}publication millrace_shop\n {2}stream CDC_SHOP: \d+ messages.+\n {4}subscription failing: \d+ /,
    );
    const plan = report.parse(JSON.parse((await remove("shop", "--json")).stdout));
    expect(plan).toMatchObject({ slot: { name: "millrace_shop" }, publication: { ours: true }, removed: false });
    expect(plan.bus?.durables).toMatchObject([{ name: "failing", automation: true }]);
    expect(await remove("nobody", "--yes")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^SOURCE_UNKNOWN/),
    });

    expect(await remove("shop", "--yes")).toMatchObject({ code: 0, stderr: "" });
    const rest = report.parse(JSON.parse((await remove("shop", "--stream", "--yes", "--json")).stdout));
    expect(rest).toMatchObject({ slot: null, publication: null, bus: { stream: "CDC_SHOP" }, removed: true });
    expect(await remove("shop", "--stream", "--yes")).toMatchObject({ code: 0, stderr: "" }); // fine when it is done

    const names =
      "select slot_name::text as name from pg_replication_slots union all select pubname::text from pg_publication";
    expect(await database.query(names)).toEqual([{ name: "millrace_other" }, { name: "millrace_other" }]);
    const nc = await connect({ servers: nats.url });
    onTestFinished(() => nc.close());
    const { streams } = await jetstreamManager(nc);
    const left = (await streams.names().next()).sort();
    expect(left).toEqual(expect.arrayContaining(["CDC_OTHER", "KV_millrace_leases", "KV_millrace_state"]));
    expect(left).not.toContain("CDC_SHOP");
    for (const bucket of left.filter((name) => name.startsWith("KV_"))) {
      const { state } = await streams.info(bucket, { subjects_filter: ">" });
      expect(Object.keys(state.subjects ?? {}).filter((key) => /shop/i.test(key))).toEqual([]);
    }
  });

  test("a publication that Millrace has not made stays, and the statement that drops it is printed", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    const name = 'Their "own"';
    await database.query(
      `create table orders(id int primary key); create publication "Their ""own""" for table orders`,
    );
    await database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
    const sources = { shop: { kind: "postgres", url: database.url, publication: name } };
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ bus: { servers: nats.url }, sources }));

    const { code, stdout } = await runCommand(["source", "remove", "shop", "--yes"], { cwd });
    expect([code, stdout]).toEqual([0, expect.stringContaining(`publication ${name}: stays`)]);
    expect(await database.query("select slot_name from pg_replication_slots")).toEqual([]);
    const publications = (): Promise<unknown> => database.query("select pubname::text from pg_publication");
    expect(await publications()).toEqual([{ pubname: name }]);
    const [statement] = /DROP PUBLICATION .+;$/m.exec(stdout) ?? [];
    await database.query(statement ?? "");
    expect(await publications()).toEqual([]);
  });

  test("database and bus are cleaned each without the other; what is left is said, and large bodies, dead letters and what waits for a retry go too", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
    const nc = await connect({ servers: nats.url });
    onTestFinished(() => nc.close());
    const { streams } = await jetstreamManager(nc);
    await streams.add({ name: "CDC_SHOP", subjects: ["cdc.shop.>"] });
    await streams.add({ name: "MILLRACE_DEAD", subjects: ["dead.>"] });
    for (const subject of ["dead._source.shop", "dead._source.other", "dead.mail"])
      await jetstream(nc).publish(subject);
    const retries = openRetryStream(nc, { replicas: 1 });
    for (const stream of ["CDC_SHOP", "CDC_OTHER"]) {
      const event = { stream, sequence: 1, subject: "cdc.x.y.z", headers: {}, data: new Uint8Array() };
      await retries.store({ ...event, automation: "mail", attempts: 1, dueAt: Date.now() + 3_600_000 });
    }
    const bodies = await new Objm(nc).create("millrace_large");
    for (const name of ["shop.1.aa", "shop_two.1.aa", "other.1.aa"])
      await bodies.putBlob({ name }, new Uint8Array(200_000));
    const cwd = await scratchDir();
    const remove = async (servers: string, url: string, ...args: readonly string[]): Promise<CommandResult> => {
      const sources = { shop: { kind: "postgres", url } };
      await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ bus: { servers }, sources }));
      return runCommand(["source", "remove", "shop", "--stream", "--yes", ...args], { cwd });
    };

    const noBus = await remove("nats://127.0.0.1:1", database.url, "--json");
    expect([noBus.code, noBus.stderr]).toEqual([1, expect.stringMatching(/^BUS_UNREACHABLE: /)]);
    expect(report.parse(JSON.parse(noBus.stdout))).toMatchObject({
      slot: { name: "millrace_shop" },
      bus: null,
      removed: false,
      left: [{ what: "bus", code: "BUS_UNREACHABLE" }],
    });
    expect(await database.query("select slot_name from pg_replication_slots")).toEqual([]);

    const noDatabase = await remove(nats.url, "postgres://nobody@127.0.0.1:1/none");
    expect([noDatabase.code, noDatabase.stderr]).toEqual([1, expect.stringMatching(/^SOURCE_UNREACHABLE: /)]);
    expect(noDatabase.stdout).toMatch(
      /\n {2}the database does not answer: slot and publication stay \(SOURCE_UNREACHABLE: /,
    );
    expect(await streams.names().next()).not.toContain("CDC_SHOP");
    const { state } = await streams.info("MILLRACE_DEAD", { subjects_filter: ">" });
    expect(Object.keys(state.subjects ?? {}).sort()).toEqual(["dead._source.other", "dead.mail"]);
    expect((await streams.info("MILLRACE_RETRY")).state.messages).toBe(1);
    expect((await bodies.list()).map(({ name }) => name).sort()).toEqual(["other.1.aa", "shop_two.1.aa"]);
    const chunks = await streams.info("OBJ_millrace_large", { subjects_filter: "$O.millrace_large.C.>" });
    expect(Object.keys(chunks.state.subjects ?? {})).toHaveLength(2);
  });
});
