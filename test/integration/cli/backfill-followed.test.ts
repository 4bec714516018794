// `millrace backfill` beside a worker: what is seen of a copy on a terminal, elsewhere, and from the worker itself.

import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { showBackfill, startBackfill, steerBackfill } from "../../../src/cli/command/backfill.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { hasTerminals, onTerminal } from "../../support/process/on-terminal.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const count = z.int().nonnegative();
/** As docs/cli.md says. */
const report = z.strictObject({
  ...{ source: z.literal("shop"), backfill: count.nullable(), isRead: z.boolean() },
  state: z.enum(["ordered", "copying", "waiting", "paused", "completed", "cancelled", "withdrawn"]).nullable(),
  order: z.looseObject({ backfill: count, state: z.string(), by: z.string(), at: z.string() }).nullable(),
  progress: z.looseObject({ backfill: count, state: z.string(), rows: count, done: count }).nullable(),
  toldAt: z.iso.datetime().nullable(),
  ...{ rowsPerSecond: z.number().nullable(), estimatedSecondsLeft: z.number().nullable() },
});

describe.skipIf(missing("postgres", "nats"))("a copy that is followed", () => {
  async function ground(sql: string, columns = 100) {
    const [database, nats, cwd] = [await freshDatabase(), await freshNats(), await scratchDir()];
    await database.query(sql);
    const sources = { shop: { kind: "postgres", url: database.url, tables: ["public.*"] } };
    const worker = await WorkerProcess.start({ bus: { servers: nats.url }, sources }, { directory: cwd });
    onTestFinished(async () => {
      await worker.kill();
      await database[Symbol.asyncDispose]();
    });
    await worker.logged("source_started");
    let lines: string[] = [];
    const print = async (line: string): Promise<void> => void lines.push(line);
    const said = (): string => {
      const text = lines.join("\n");
      lines = [];
      return text;
    };
    const { signal } = new AbortController();
    const options = { config: join(cwd, "millrace.config.json"), source: "shop", signal, print };
    const ask = async (path: string): Promise<string> => (await fetch(`${worker.httpUrl}${path}`)).text();
    return {
      start: async (...collections: string[]) => {
        const whole = await startBackfill({ ...options, collections, detach: false, json: true, log: silentLogger });
        return { whole, ...report.parse(JSON.parse(said())) };
      },
      detach: () => startBackfill({ ...options, collections: [], detach: true, json: true, log: silentLogger }),
      watch: (print: (line: string) => Promise<void>) => showBackfill({ ...options, print, watch: true, json: false }),
      status: async (json = false) => {
        said();
        await showBackfill({ ...options, watch: false, json });
        return said();
      },
      steer: async (to: "resume" | "cancel", rate?: string, without: readonly string[] = []) => {
        said();
        await steerBackfill({ ...options, to, without, ...(rate !== undefined && { rate }) });
        return said();
      },
      terminal: (...args: string[]) => onTerminal(["backfill", ...args], { cwd, columns }),
      ask,
      worker,
    };
  }

  test.skipIf(!hasTerminals())(
    "is a bar on a terminal, goes on behind Ctrl-C, at another rate where somebody says so, and ends with 0 for who watches",
    async () => {
      const {
        status,
        watch,
        steer,
        start: again,
        terminal,
        ask,
        worker,
      } = await ground(
        "create table orders(id int primary key); insert into orders select generate_series(1, 20000); analyze orders",
      );

      const start = terminal("start", "shop", "public.orders", "--rate", "300");
      await start.shows(/█+░+ \d+ of about 20000 rows \(\d+ %\), \d+ rows\/s, about \d+ (s|min) left \(an estimate\)/);
      start.type("\u{3}");
      expect(await start.ended).toBe(3);
      expect(start.shown()).toMatch(
        /copy 1 of shop goes on without this command[\s\S]*millrace backfill status shop --watch/,
      );
      await expect(again()).rejects.toMatchObject({ code: "BACKFILL_RUNNING" });
      const now = report.parse(JSON.parse(await status(true)));
      expect(now).toMatchObject({ state: "copying", isRead: true, order: { rate: 300 } });
      const { sources } = JSON.parse(await ask("/api/status"));
      expect(sources[0].backfill).toMatchObject({ backfill: 1, state: "copying", estimatedRows: 20000 });
      const shown: string[] = [];
      const print = async (line: string): Promise<void> => void shown.push(line);
      const watched = watch(print);
      await waitFor(() => shown.includes("copy 1 of shop: copying"), { what: "the copy that is watched" });
      expect(await steer("resume", "max")).toBe("copy 1 of shop was not paused: it is copying, as fast as it can");
      await watched;
      expect(shown.join("\n")).toMatch(/copy 1 of shop: completed\n.*\n {2}20000 rows, 1 collection done\n.*$/);
      const metrics = await ask("/metrics");
      expect(metrics).toContain('millrace_backfill_rows_total{source="shop"} 20000\n');
      expect(metrics).toContain('millrace_backfill_state{source="shop",state="completed"} 1\n');
      await worker.logged("backfill_completed");
    },
  );

  test("that waits for a person says why and what to do, everywhere, and can be ended; the next one ends with 0", async () => {
    const { start, detach, status, steer, ask } = await ground(
      `create table log(note text) partition by list (note); create table log_all partition of log default;
       alter table log replica identity full; alter table log_all replica identity full;
       create table orders(id int primary key);`,
    );

    await detach();
    const waiting = await waitFor(
      async () => {
        const text = await status();
        return text.includes("BACKFILL_REFUSED") && text;
      },
      { what: "the reason" },
    );
    expect(waiting).toMatch(
      /^copy 1 of shop: waiting\n[\s\S]*\n {2}BACKFILL_REFUSED: .*log.* cannot be copied: .*\n {2}fix: .*PRIMARY KEY/,
    );
    const { ready, parts } = JSON.parse(await ask("/readyz"));
    expect(ready).toBe(true);
    expect(parts.find(({ kind }: { kind: string }) => kind === "source")).toMatchObject({ code: "BACKFILL_WAITING" });
    expect(await ask("/metrics")).toContain('millrace_backfill_waiting{source="shop",code="BACKFILL_REFUSED"} 1\n');
    expect(await steer("resume", undefined, ["public.log"])).toBe(
      "copy 1 of shop was not paused: it is waiting, without public.log",
    );
    const ended = await waitFor(
      async () => {
        const text = await status();
        return text.includes(": completed") && text;
      },
      { what: "the end" },
    );
    expect(ended).toMatch(
      /asked for: all that the source reads without public.log; [\s\S]*\n {2}left out: public.log$/,
    );
    await detach();
    expect(await steer("cancel")).toBe("copy 2 of shop is cancelled: what was copied stays in the stream");
    await expect(start("order")).rejects.toMatchObject({
      ...{ code: "BACKFILL_COLLECTION_UNKNOWN", message: "shop reads no order" },
      hint: "It reads public.log, public.orders.",
    });
    await expect(start("orders")).rejects.toMatchObject({
      hint: expect.stringMatching(/^Did you mean public.orders\?/),
    });
    expect(await start("public.orders", "public.orders")).toMatchObject({
      whole: true,
      backfill: 3,
      state: "completed",
    });
  });
});
