// The same sources and automations on the same bus, with another database: a configuration that was copied. Real servers.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker, type WorkerOptions } from "../../../src/app.ts";
import { automation } from "../../../src/automation/define/automation.ts";
import { orders } from "../../support/automations.ts";
import { runCommand } from "../../support/process/run-command.ts";
import { type Database, freshDatabase, freshNats, freshPostgres, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

async function shop(server?: Database["server"]): Promise<Database> {
  const database = await freshDatabase(server);
  onTestFinished(() => database[Symbol.asyncDispose]());
  await database.query("create table orders(id int primary key, status text)");
  return database;
}

interface Running {
  readonly worker: Worker;
  readonly handled: string[];
}

/** A worker with an automation that notes the ids it was given. */
async function run(
  database: Database,
  servers: string,
  { onGap, ...options }: WorkerOptions & { readonly onGap?: "continue" } = {},
): Promise<Running> {
  const handled: string[] = [];
  const greet = automation("greet", { on: orders.created(), start: "earliest" }, ({ event }) => {
    handled.push(String(event.after.id));
  });
  const worker = await startWorker(
    {
      bus: { servers, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url, ...(onGap && { onGap }) } },
      automations: [greet],
    },
    options,
  );
  worker.finished.catch(() => {}); // the tests look at what it says
  onTestFinished(() => worker.stop());
  return { worker, handled };
}

/** The worker whose database it is, once its source runs. */
async function runFirst(database: Database, servers: string): Promise<Running> {
  const running = await run(database, servers);
  await waitFor(() => running.worker.status().ready, { what: "the source to run" });
  return running;
}

const insert = (database: Database, from: number, to: number): Promise<unknown> =>
  database.query(`insert into orders select n, 'new' from generate_series(${from}, ${to}) n`);

const ids = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, at) => String(from + at));

const reasonOf = (worker: Worker, kind: string): string | undefined =>
  worker.status().parts.find((part) => part.kind === kind && !part.ready)?.reason;

describe.skipIf(missing("postgres", "nats"))("a copied configuration on the same bus", () => {
  for (const [what, other, code] of [
    ["another cluster", async () => shop(await freshPostgres()), "SOURCE_OTHER_CLUSTER"],
    ["another database of the same cluster", () => shop(), "SOURCE_OTHER_DATABASE"],
  ] as const) {
    test(`with ${what} takes none of the first one's events, and is refused by name`, async () => {
      const { url } = await freshNats();
      const [ours, theirs] = [await shop(), await other()];
      const first = await runFirst(ours, url);
      await insert(ours, 1, 2);
      await waitFor(() => first.handled.length === 2, { what: "the first orders" });

      const copy = await run(theirs, url, { onGap: "continue" });
      await expect(copy.worker.finished).rejects.toMatchObject({
        code,
        hint: expect.stringContaining("another id, or use another bus or NATS account"),
      });
      await waitFor(() => reasonOf(copy.worker, "automation")?.includes(`STREAM_NOT_OURS: ${code}: `), {
        what: "the automation to say why it waits",
      });
      await insert(ours, 3, 20);
      await waitFor(() => first.handled.length === 20, { what: "all orders" });
      expect([first.handled.toSorted((a, b) => Number(a) - Number(b)), copy.handled]).toEqual([ids(1, 20), []]);

      // Also where the first one is not there to hold the lease.
      await first.worker.stop();
      const again = await run(theirs, url, { onGap: "continue" });
      await expect(again.worker.finished).rejects.toMatchObject({ code });
      await insert(ours, 21, 25);
      const back = await run(ours, url);
      await waitFor(() => back.handled.length === 5, { what: "what was written meanwhile" });
      expect([copy.handled, again.handled]).toEqual([[], []]);
    });
  }

  test("is refused by `run` as by `check`: the same code, the same fix", async () => {
    const { url } = await freshNats();
    const [ours, theirs] = [await shop(), await shop()];
    const first = await runFirst(ours, url);
    await insert(ours, 1, 1);
    await waitFor(() => first.handled.length === 1, { what: "the first order" });
    const cwd = await scratchDir();
    const config = {
      bus: { servers: url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: theirs.url } },
      http: { port: 0 },
    };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));

    const checked = await runCommand(["check", "--json"], { cwd });
    const { findings } = JSON.parse(checked.stdout) as { findings: { level: string; code: string; fix: string }[] };
    const [failed] = findings.filter(({ level }) => level === "fail");
    expect([checked.code, failed?.code]).toEqual([3, "SOURCE_OTHER_DATABASE"]);
    const ran = await runCommand(["run"], { cwd });
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining(`SOURCE_OTHER_DATABASE: `)]);
    expect(ran.stderr).toContain(`fix: ${failed?.fix}`);
  });

  test("a worker that runs automations only reads the stream of its own database, and waits for a first start", async () => {
    const { url } = await freshNats();
    const [ours, theirs] = [await shop(), await shop(await freshPostgres())];
    const mine = await run(ours, url, { sources: [] });
    const copy = await run(theirs, url, { sources: [] });
    const first = await run(ours, url, { automations: [] });
    await waitFor(() => first.worker.status().ready, { what: "the source to run" });
    await insert(ours, 1, 10);
    await waitFor(() => mine.handled.length === 10, { what: "all orders" });
    await waitFor(() => reasonOf(copy.worker, "automation")?.includes("STREAM_NOT_OURS: SOURCE_OTHER_CLUSTER: "), {
      what: "the copy to say why",
    });
    expect(copy.handled).toEqual([]);
  });

  test("the same database under another name is still the source's own", async () => {
    const { url } = await freshNats();
    const ours = await shop();
    const first = await runFirst(ours, url);
    await insert(ours, 1, 1);
    await waitFor(() => first.handled.length === 1, { what: "the first order" });
    await first.worker.stop();
    const name = new URL(ours.url).pathname.slice(1);
    const admin = await freshDatabase(ours.server);
    onTestFinished(() => admin[Symbol.asyncDispose]());
    const rename = async (from: string, to: string): Promise<void> => {
      await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${from}'`);
      await admin.query(`alter database ${from} rename to ${to}`);
    };
    await rename(name, `${name}_renamed`);
    onTestFinished(() => rename(`${name}_renamed`, name));
    const back = await run({ ...ours, url: `${ours.url}_renamed` }, url);
    onTestFinished(() => back.worker.stop());
    await waitFor(() => back.worker.status().ready, { what: "the source to run" });
    expect(reasonOf(back.worker, "source")).toBeUndefined();
  });
});
