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

    await waitFor(() => got.length === 4, { what: "four events", timeoutMs: 20_000 });
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
    await waitFor(() => output.text.includes("ready"), { what: "the script", timeoutMs: 20_000 });
    child.kill("SIGTERM");
    await once(child, "close");
    expect([child.exitCode, output.text]).toEqual([3, "ready\ncleaned\n"]);
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
