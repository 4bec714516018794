// The built worker as a child process, one run for each source.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../src/dev/free-port.ts";

export class Worker {
  readonly #child: ChildProcess;
  readonly #logFile: string;

  private constructor(child: ChildProcess, logFile: string) {
    this.#child = child;
    this.#logFile = logFile;
  }

  /** `millrace run` in a directory that holds its configuration. */
  static async start(cli: string, dir: string, source: string): Promise<Worker> {
    const logFile = join(dir, `${source}.log`);
    const log = openSync(logFile, "a");
    const child = spawn(process.execPath, [cli, "run", "--automations", "none", "--sources", source], {
      cwd: dir,
      stdio: ["ignore", log, log],
      env: { ...process.env, MILLRACE_HTTP: `127.0.0.1:${await freePort()}` },
    });
    closeSync(log);
    return new Worker(child, logFile);
  }

  /** Looks every 20 ms. @throws Error with the end of its log when the worker leaves meanwhile */
  async until<T>(look: () => Promise<T | undefined>): Promise<T> {
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`the worker left:\n${readFileSync(this.#logFile, "utf8").slice(-4_000)}`);
      }
      await delay(20);
    }
  }

  /** The most memory it ever held; undefined where the system does not tell. */
  peakRssMb(): number | undefined {
    if (process.platform !== "linux") return undefined;
    const [, kb] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#child.pid}/status`, "utf8")) ?? [];
    return kb === undefined ? undefined : Math.round(Number(kb) / 1024);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await ended;
  }
}
