// `millrace report`: the command ends as it would without it, and an automation hears how.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { automation, event } from "../../../src/index.ts";
import { startWorker } from "../../support/automations.ts";
import { hasTerminals, onTerminal } from "../../support/process/on-terminal.ts";
import { runCommand } from "../../support/process/run-command.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const env = { MILLRACE_EVENTS_TOKEN: "sec-events" };

/** A directory whose configuration names this bus. */
async function directory(url: string): Promise<string> {
  const cwd = await scratchDir();
  const bus = JSON.stringify({ servers: url });
  await writeFile(join(cwd, "millrace.config.mjs"), `export default { bus: ${bus}, sources: {} };\n`);
  return cwd;
}

describe.skipIf(missing("nats"))("millrace report, straight to the bus", () => {
  let url: string;
  let cwd: string;
  beforeAll(async () => {
    ({ url } = await freshNats());
    cwd = await directory(url);
  });

  test("passes output, exit code and signals on, and tells automations the end", async () => {
    const got: unknown[] = [];
    const on = [event("system.script.completed"), event("system.script.failed")];
    const hears = automation(
      "hears",
      { on, start: "earliest" },
      ({ event: told }) => void got.push([told.type, told.data]),
    );
    await using _ = await startWorker({ url, automations: [hears] });

    const fine = await runCommand(["report", "--name", "backup", "--", "sh", "-c", "echo out; echo err >&2"], { cwd });
    expect(fine).toEqual({ code: 0, stdout: "out\n", stderr: "err\n" });
    expect(await runCommand(["report", "--", "sh", "-c", "exit 7"], { cwd })).toEqual({
      code: 7,
      stdout: "",
      stderr: "",
    });
    const killed = await runCommand(["report", "--name", "killed", "--", "sh", "-c", "kill -9 $$"], { cwd });
    expect(killed).toEqual({ code: 137, stdout: "", stderr: "" });
    const none = await runCommand(["report", "--", "/none/such", "--secret=x"], { cwd });
    expect(none).toMatchObject({ code: 127, stderr: expect.stringContaining("SCRIPT_NOT_STARTED") });

    await waitFor(() => got.length === 4, { what: "four events" });
    const end = {
      exitCode: 0,
      signal: null,
      error: null,
      startedAt: expect.any(String),
      durationMs: expect.any(Number),
    };
    expect(got).toEqual(
      expect.arrayContaining([
        ["system.script.completed", { ...end, name: "backup" }],
        ["system.script.failed", { ...end, name: "sh", exitCode: 7 }],
        ["system.script.failed", { ...end, name: "killed", exitCode: null, signal: "SIGKILL" }],
        ["system.script.failed", { ...end, name: "such", exitCode: null, error: "ENOENT" }],
      ]),
    );
  });

  test("passes a signal to the command, and waits for what it makes of it", async () => {
    const script = 'trap "echo cleaned; exit 3" TERM; echo ready; while :; do sleep 0.05; done';
    const child = spawn(process.execPath, [inject("cliFile"), "report", "--", "sh", "-c", script], {
      cwd,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const output = outputOf(child);
    await waitFor(() => output.text.includes("ready"), { what: "the script" });
    child.kill("SIGTERM");
    await once(child, "close");
    expect([child.exitCode, output.text]).toEqual([3, "ready\ncleaned\n"]);
  });
});

describe.skipIf(!hasTerminals())("millrace report, on a terminal", () => {
  // Without a token nothing is told, at once.
  const report = `${process.execPath} ${inject("cliFile")} report --to http://127.0.0.1:1 --`;
  const shell = { program: ["bash", "-c"] };

  test("Ctrl-C comes to the command once, also where its input is none, and what it makes of it counts", async () => {
    const cwd = await scratchDir();
    const script = join(cwd, "script.sh");
    // Counts for a while what comes.
    await writeFile(
      script,
      'n=0; trap "n=\\$((n+1))" INT; echo ready; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; echo "got $n"; exit 3\n',
    );
    for (const input of ["", "</dev/null"]) {
      const terminal = onTerminal([`${report} bash ${script} ${input}; echo "code $?"`], { cwd, ...shell });
      await terminal.shows(/ready/);
      terminal.type("\u{3}");
      await terminal.ended;
      expect(terminal.shown()).toMatch(/got 1\b/);
    }
  });

  test("a loop of a shell ends with the command that Ctrl-C has ended", async () => {
    const cwd = await scratchDir();
    const loop = `for i in 1 2 3; do ${report} sh -c "echo begun; exec sleep 60"; done; echo went on`;
    const terminal = onTerminal([loop], { cwd, ...shell });
    await terminal.shows(/begun/);
    terminal.type("\u{3}");
    await terminal.ended;
    expect(terminal.shown().match(/begun/g)).toHaveLength(1);
    expect(terminal.shown()).not.toContain("went on");
  });

  test("SIGINT to one in the background is passed on, though its input is the terminal", async () => {
    const cwd = await scratchDir();
    const script = join(cwd, "script.sh");
    await writeFile(script, 'trap "echo interrupted; exit 4" INT; echo ready; while :; do sleep 0.05; done\n');
    // `set -m`: as in a shell that a person types in, what is in the background has a group of its own and does not ignore SIGINT.
    const job = `set -m; ${report} bash ${script} & until grep -qs x started; do sleep 0.1; done; kill -INT $!; wait $!; echo "code $?"`;
    const terminal = onTerminal([job], { cwd, ...shell });
    await terminal.shows(/ready/);
    await writeFile(join(cwd, "started"), "x");
    await terminal.ended;
    expect(terminal.shown()).toContain("interrupted");
    expect(terminal.shown()).toContain("code 4");
  });
});

test("a bus that is away costs a warning, and no configuration another; the exit code is the command's", async () => {
  const away = await directory("nats://127.0.0.1:1");
  const cold = await runCommand(["report", "--", "sh", "-c", "echo out; exit 5"], { cwd: away });
  expect(cold).toMatchObject({
    code: 5,
    stdout: "out\n",
    stderr: expect.stringMatching(/^(?:BUS_|SCRIPT_UNREPORTED)/),
  });
  const lost = await runCommand(["report", "--", "true"], { cwd: await scratchDir() });
  expect(lost).toMatchObject({ code: 0, stderr: expect.stringContaining("CONFIG_NOT_FOUND") });
});

describe("millrace report, over HTTP", () => {
  interface Posted {
    readonly path: string | undefined;
    readonly headers: Readonly<Record<string, unknown>>;
    readonly data: unknown;
  }

  /** Answers with the next of the statuses, and the last one from then on. */
  async function worker(statuses: readonly number[], redirect?: string) {
    const posted: Posted[] = [];
    const server = createServer((request, response) => {
      let text = "";
      request.on("data", (part: Buffer) => {
        text += part.toString();
      });
      request.on("end", () => {
        posted.push({ path: request.url, headers: request.headers, data: JSON.parse(text) });
        const status = statuses[Math.min(posted.length, statuses.length) - 1] as number;
        response.writeHead(status, redirect ? { location: redirect } : {}).end('{"status":"accepted"}');
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}`, posted, [Symbol.dispose]: () => void server.close() };
  }

  test("posts the end with the token, again while the worker cannot, as one request", async () => {
    using there = await worker([503, 429, 200]);
    const cwd = await scratchDir();
    const told = await runCommand(["report", "--name", "n", "--to", `${there.url}/`, "--", "sh", "-c", "exit 9"], {
      cwd,
      env,
    });
    expect(told).toEqual({ code: 9, stdout: "", stderr: "" });
    expect(there.posted).toHaveLength(3);
    expect(new Set(there.posted.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
    expect(there.posted[2]).toMatchObject({
      path: "/events/system.script.failed",
      headers: { authorization: "Bearer sec-events", "content-type": "application/json" },
      data: { name: "n", exitCode: 9, signal: null },
    });
  });

  test("warns of a refusal, of a redirection, which is not followed, and of a token that is not there", async () => {
    using refusing = await worker([401]);
    using elsewhere = await worker([200]);
    using redirecting = await worker([307], elsewhere.url);
    const cwd = await scratchDir();
    const run = (url: string, more = {}) =>
      runCommand(["report", "--to", url, "--", "true"], { cwd, env: { ...env, ...more } });
    expect(await run(refusing.url)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("the worker answered 401"),
    });
    expect(await run(redirecting.url)).toMatchObject({ code: 0, stderr: expect.stringContaining("SCRIPT_UNREPORTED") });
    expect(elsewhere.posted).toEqual([]);
    expect(await run(refusing.url, { MILLRACE_EVENTS_TOKEN: "" })).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("ENV_MISSING"),
    });
    expect(refusing.posted).toHaveLength(1);
  });
});

function outputOf(child: ChildProcess): { text: string } {
  const output = { text: "" };
  child.stdout?.on("data", (part: Buffer) => {
    output.text += part.toString();
  });
  return output;
}
