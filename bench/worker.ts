// The built worker as a child process.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../src/dev/free-port.ts";
import type { Status } from "../src/monitor/status.ts";
import type { Ground } from "./ground.ts";

export class Worker {
  readonly #child: ChildProcess;
  readonly #logFile: string;
  readonly #url: string;

  private constructor(child: ChildProcess, logFile: string, url: string) {
    this.#child = child;
    this.#logFile = logFile;
    this.#url = url;
  }

  /**
   * `millrace run` in a directory that holds its configuration.
   * @param args behind `run`
   */
  static async start(
    { cli, dir, node }: Pick<Ground, "cli" | "dir" | "node">,
    ...args: readonly string[]
  ): Promise<Worker> {
    const logFile = join(dir, "worker.log");
    const log = openSync(logFile, "a");
    const address = `127.0.0.1:${await freePort()}`;
    const child = spawn(process.execPath, [...node, cli, "run", ...args], {
      cwd: dir,
      stdio: ["ignore", log, log],
      env: { ...process.env, MILLRACE_HTTP: address },
    });
    closeSync(log);
    return new Worker(child, logFile, `http://${address}/api/status`);
  }

  /** What it says of itself; undefined while it does not answer yet. */
  async status(): Promise<Status | undefined> {
    const answer = await fetch(this.#url).catch(() => undefined);
    return answer?.ok ? ((await answer.json()) as Status) : undefined;
  }

  /** Looks every so many ms. @throws Error with the end of its log when the worker leaves meanwhile */
  async until<T>(look: () => Promise<T | undefined>, everyMs = 20): Promise<T> {
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`the worker left:\n${readFileSync(this.#logFile, "utf8").slice(-4_000)}`);
      }
      await delay(everyMs);
    }
  }

  /** The most memory it ever held; undefined where the system does not tell. */
  peakRssMb(): number | undefined {
    if (process.platform !== "linux") return undefined;
    const [, kb] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#child.pid}/status`, "utf8")) ?? [];
    return kb === undefined ? undefined : Math.round(Number(kb) / 1024);
  }

  /** The time that processors have spent on it, its start included; undefined where the system does not tell. */
  cpuSeconds(): number | undefined {
    if (process.platform !== "linux") return undefined;
    // The command's name, in parentheses, may hold anything; behind it: state, parent, …; user's and system's ticks.
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await ended;
  }
}
