// No embedded server outlives its parent, however that ends.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

/** A parent that starts both servers, prints their pids, and does `then`. */
async function parent(then: string): Promise<{ readonly process: ChildProcess; readonly pids: readonly number[] }> {
  const dir = await scratchDir();
  const dev = resolve("src/dev");
  const script = `
    import { startNats } from ${JSON.stringify(join(dev, "nats-server.ts"))};
    import { startPostgres } from ${JSON.stringify(join(dev, "postgres.ts"))};
    const nats = await startNats({ dataDir: ${JSON.stringify(join(dir, "nats"))} });
    const postgres = await startPostgres({ dataDir: ${JSON.stringify(join(dir, "postgres"))} });
    console.log(JSON.stringify([nats.pid, postgres.pid]));
    ${then}`;
  const args = ["--import", "tsx", "--input-type=module", "--eval", script];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = await once(createInterface(child.stdout), "line");
  return { process: child, pids: JSON.parse(line) };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(missing("postgres", "nats"))("both servers", () => {
  test.each([
    ["Ctrl-C", "setInterval(() => {}, 1000);", "SIGINT", { code: null, signal: "SIGINT" }],
    ["SIGTERM", "setInterval(() => {}, 1000);", "SIGTERM", { code: null, signal: "SIGTERM" }],
    ["process.exit", "process.exit(7);", undefined, { code: 7, signal: null }],
    ["an uncaught error", "setImmediate(() => { throw new Error('oh'); });", undefined, { code: 1, signal: null }],
    [
      "a signal that the parent handles itself",
      "process.once('SIGINT', () => process.exit(9)); setInterval(() => {}, 1000);",
      "SIGINT",
      { code: 9, signal: null },
    ],
  ] as const)("end with their parent after %s", async (_, then, sent, expected) => {
    const { process: child, pids } = await parent(then);
    const ended = once(child, "exit");

    if (sent !== undefined) child.kill(sent);
    const [code, signal] = await ended;

    expect({ code, signal }).toEqual(expected);
    await waitFor(() => !pids.some(isAlive), { what: "the servers to be gone" });
  });
});
