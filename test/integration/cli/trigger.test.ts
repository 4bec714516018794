// `millrace trigger`, as people and scripts run it, and what the automation makes of its data.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { triggerAutomation } from "../../../src/cli/command/trigger.ts";
import { automation, manual } from "../../../src/index.ts";
import { startWorker } from "../../support/automations.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { runCommand } from "../../support/process/run-command.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("nats"))("millrace trigger", () => {
  test("sends one automation an event, once an id, whose data its schema makes or refuses", async () => {
    const { url } = await freshNats();
    const cwd = await scratchDir();
    await writeFile(
      join(cwd, "millrace.config.mjs"),
      `import { automation, collection, manual } from "millrace";
export default {
bus: { servers: ${JSON.stringify(url)} },
sources: { shop: { kind: "postgres", url: "postgres://nobody@127.0.0.1:1/none", tables: ["public.*"] } },
automations: [
  automation("rebuild", { on: manual() }, () => {}),
  automation("mail", { on: collection("shop", "public.orders").created() }, () => {}),
],
};
`,
    );
    const run = (...args: string[]) => runCommand(["trigger", ...args], { cwd });
    const got: unknown[] = [];
    const schema = z.object({ since: z.string(), count: z.coerce.number().default(7) });
    const rebuild = automation("rebuild", { on: manual(schema), start: "earliest" }, ({ event }) => {
      const { since, count }: { readonly since: string; readonly count: number } = event.data;
      got.push([since, count]);
    });
    const other = automation("other", { on: manual(), start: "earliest" }, () => void got.push("other"));
    await using worker = await startWorker({ url, automations: [rebuild, other] });

    const sent = await run("rebuild", "--id", "a", "--data", '{ "since": "monday" }');
    expect([sent.code, sent.stdout, sent.stderr]).toEqual([0, "manual.rebuild.a waits for rebuild\n", ""]);
    expect(await run("rebuild", "--id", "a", "--data", '{ "since": "tuesday" }')).toMatchObject({ code: 0 });
    expect(await run("rebuild", "--data", '{ "since": 5 }')).toMatchObject({ code: 0 });
    const { counts } = worker.metrics;
    const over = () => counts["rebuild.handled"] === 1 && counts["rebuild.undecodable"] === 1;
    await waitFor(over, { what: "both events" });
    expect(got).toEqual([["monday", 7]]);

    expect(await run("mail")).toMatchObject({ code: 2, stderr: expect.stringContaining("AUTOMATION_NOT_MANUAL") });
    expect(await run("rebild")).toMatchObject({ code: 2, stderr: expect.stringContaining("did you mean rebuild?") });
    expect(await run("rebuild", "--data", "{")).toMatchObject({ code: 2, stderr: expect.stringContaining("--data") });
  });

  test("sends nothing that the schema refuses, and says where it has no answer", async () => {
    const { url } = await freshNats();
    const cwd = await scratchDir();
    const config = join(cwd, "millrace.config.mjs");
    await writeFile(
      config,
      `import { automation, manual } from "millrace";
const schema = (validate) => ({ "~standard": { version: 1, vendor: "test", validate } });
const strict = schema((value) => {
  value.count = 7; // what it does to the data is the worker's matter
  return typeof value.since === "string" ? { value } : { issues: [{ message: "expected text", path: ["since"] }, { message: "no" }] };
});
const many = schema(() => ({ issues: Array.from({ length: 12 }, (_, nth) => ({ message: "no", path: [nth] })) }));
const on = (id, ...on) => automation(id, { on, timeout: "50ms" }, () => {});
export default {
bus: { servers: ${JSON.stringify(url)} },
sources: {},
automations: [
  on("strict", manual(strict), manual()),
  on("many", manual(many)),
  on("throwing", manual(schema(async () => { throw new RangeError("only on the worker"); }))),
  on("slow", manual(schema(() => new Promise(() => {})))),
],
};
`,
    );
    const lines: string[] = [];
    const trigger = (id: string, data?: string): Promise<void> =>
      triggerAutomation({
        id,
        data,
        eventId: "1",
        config,
        signal: new AbortController().signal,
        print: async (line) => void lines.push(line),
      });

    await expect(trigger("strict", '{ "since": 5 }')).rejects.toMatchObject({
      name: "ConfigError",
      code: "TRIGGER_DATA_UNFIT",
      message: "--data does not fit the schema of strict: since: expected text; the top: no",
    });
    await expect(trigger("many")).rejects.toThrow(/^null, as no --data is given, .+ \[9\]: no; and 2 more$/);
    await trigger("throwing");
    await trigger("slow");
    await trigger("strict", '{ "since": "monday" }');
    expect(lines).toEqual([
      "manual.throwing.1 waits for throwing",
      "its data is not held against the schema here, which threw RangeError: the worker does it",
      "manual.slow.1 waits for slow",
      "its data is not held against the schema here, which has not ended in time: the worker does it",
      "manual.strict.1 waits for strict",
    ]);
    const stored = await readStream(url, "MILLRACE_EVENTS");
    expect(stored.map(({ subject }) => subject.split(".")[2])).toEqual(["throwing", "slow", "strict"]);
    expect(stored[2]?.text).toBe('{"since":"monday"}');
  });
});
