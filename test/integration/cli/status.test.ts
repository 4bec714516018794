// `millrace status` from outside, of a real worker: its table, its JSON, and what it says when there is none.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { startWorker, type Worker } from "../../../src/app.ts";
import { openStateStore } from "../../../src/bus/jetstream/client/state-store.ts";
import { lineageKey } from "../../../src/bus/lineage-key.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { lineageText } from "../../../src/event/lineage.ts";
import { automation, collection } from "../../../src/index.ts";
import { hasTerminals, onTerminal } from "../../support/process/on-terminal.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const count = z.int().nonnegative();
const reason = z.strictObject({ code: z.string(), message: z.string() }).optional();

/** As docs/operations/dba.md says; more may come. */
const report = z.object({
  version: z.string(),
  startedAt: z.iso.datetime(),
  bus: z.object({ connected: z.boolean(), fsync: z.union([z.literal("always"), z.number()]) }),
  ready: z.boolean(),
  parts: z.array(
    z.object({
      kind: z.enum(["bus", "source", "automation"]),
      id: z.string(),
      ready: z.boolean(),
      code: z.string().optional(),
      reason: z.string(),
    }),
  ),
  sources: z.array(
    z.object({
      id: z.string(),
      kind: z.string(),
      state: z.enum(["starting", "waiting-for-lease", "running", "retrying", "stopped"]),
      reason,
      position: z.string().optional(),
      sequence: count.optional(),
      unsentBytes: z.number().optional(),
      unconfirmedBytes: z.number().optional(),
      lagSeconds: z.number().optional(),
      heartbeatSeconds: z.number().optional(),
      lease: count.optional(),
      heldForFsync: z.object({ marks: count, oldestMs: z.number() }),
      stalledMs: z.number(),
      stalledBy: reason,
      unsavedMs: z.number(),
      notices: z.array(z.strictObject({ code: z.string(), message: z.string() })),
      read: count,
      published: count,
      saved: count,
      acknowledged: count,
      poison: count,
    }),
  ),
  automations: z.array(
    z.object({
      id: z.string(),
      state: z.enum(["starting", "waiting", "running", "paused", "retrying", "failed", "stopped"]),
      reason,
      handled: count,
      skipped: count,
      retried: count,
      dead: count,
      running: count,
      hanging: count,
      runningMs: z.number(),
      timeoutMs: count,
      deadBy: z.record(z.string(), count),
      settlingMs: z.number(),
    }),
  ),
});

/** `--watch` outlives the worker: it says that nobody answers, and looks again. */
async function watchTheEnd(cwd: string, worker: Worker): Promise<void> {
  const terminal = onTerminal(["status", "--watch", "--json"], { cwd });
  await terminal.shows(/"version".*\s/);
  await worker.stop();
  await terminal.shows(/("unanswered".*\s+.*){2}/);
  terminal.type("\u{3}");
  expect(await terminal.ended).toBe(0);
  const looks = terminal.shown().match(/^\{.*\}/gm) ?? [];
  const unanswered = z.strictObject({ unanswered: z.strictObject({ code: z.string(), message: z.string() }) });
  const parsed = looks.map((line) => z.union([report, unanswered]).parse(JSON.parse(line)));
  expect(parsed.at(-1)).toMatchObject({ unanswered: { code: "STATUS_UNREACHABLE" } });
}

describe.skipIf(missing("postgres", "nats"))("millrace status", () => {
  test("a table within 100 columns, the same as JSON by its schema; without a worker one error", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query("create table orders(id int primary key)");
    const http = { host: "localhost", port: await freePort() };
    const sources = { shop: { kind: "postgres", url: database.url } };
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ http, sources, bus: { servers: nats.url } }));
    const status = (...args: readonly string[]): Promise<CommandResult> => runCommand(["status", ...args], { cwd });
    const greet = automation(
      "greet",
      { on: collection<{ id: number }>("shop", "public.orders").created() },
      async () => {},
    );
    const config = { http, sources, bus: { servers: nats.url }, automations: [greet] };
    const worker = await startWorker(config, { http: true });
    worker.finished.catch(() => {}); // the test would see it
    try {
      await waitFor(() => worker.status().ready, { what: "source and automation to run" });
      await database.query("insert into orders values (1)");
      await waitFor(() => worker.status().automations[0]?.handled === 1, { what: "the event to be handled" });
      // What a handler's tx writes, at the limit of hops.
      const cause = { correlationId: "a", causationId: "b", hops: 8, automation: "greet", trail: [] };
      const nc = await connect({ servers: nats.url });
      const store = await openStateStore(nc, { bucket: "millrace_state", replicas: 1 });
      const writer = await database.connect();
      await writer.query("begin");
      const [entry] = (await writer.query<{ xid: string }>("select pg_current_xact_id()::text as xid")).rows;
      const seal = { key: await lineageKey(store), transaction: entry?.xid ?? "" };
      await writer.query("select pg_logical_emit_message(true, 'millrace.lineage', $1::text)", [
        lineageText(cause, seal),
      ]);
      await writer.query("insert into orders values (2)");
      await writer.query("commit");
      await writer.end();
      await nc.close();
      await waitFor(() => worker.status().automations[0]?.deadBy?.cycle === 1, { what: "the cycle to be stopped" });

      const table = await status();
      expect([table.code, table.stderr]).toEqual([0, ""]);
      expect(table.stdout).toMatch(/^millrace \S+, up for \d+ s, bus connected\n/);
      expect(table.stdout).toMatch(/\nshop +running +\d/);
      expect(table.stdout).toMatch(/\ngreet +running +1 .*\n +dead letters: cycle 1\n/);
      expect(table.stdout).not.toContain("\u{1b}");
      await waitFor(() => worker.status().sources[0]?.heartbeatSeconds !== undefined, { what: "a heartbeat" });
      const slots = await runCommand(["slots", "--json"], { cwd });
      expect(JSON.parse(slots.stdout).servers[0].slots[0]).toMatchObject({
        source: "shop",
        unsentBytes: expect.any(Number),
        unconfirmedBytes: expect.any(Number),
        lagSeconds: expect.any(Number),
        heartbeatSeconds: expect.any(Number),
      });
      expect(Math.max(...table.stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
      expect(report.parse(JSON.parse((await status("--json")).stdout))).toMatchObject({
        sources: [{ id: "shop", state: "running" }],
        automations: [{ id: "greet", handled: 1, dead: 1, deadBy: { cycle: 1 } }],
      });
      // It asks over HTTP: the variables that the worker needs for its servers need not be set here.
      const elsewhere = await scratchDir();
      const needs = {
        sources: { shop: { kind: "postgres", url: { env: "NO_SUCH_URL" } } },
        bus: { servers: { env: "NO" } },
      };
      await writeFile(join(elsewhere, "millrace.config.json"), JSON.stringify({ http, ...needs }));
      expect(await runCommand(["status"], { cwd: elsewhere })).toMatchObject({ code: 0, stderr: "" });
      if (hasTerminals()) await watchTheEnd(cwd, worker);
    } finally {
      await worker.stop();
    }
    const none = await status();
    expect([none.code, none.stdout]).toEqual([1, ""]);
    expect(none.stderr).toMatch(/^STATUS_UNREACHABLE: .+\nfix: .+\n$/);
  });
});
