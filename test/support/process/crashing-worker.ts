// A whole worker in a process of its own that is ended by SIGKILL at a named crash point.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { inject, onTestFailed } from "vitest";
import { waitFor } from "../wait-for.ts";
import { type CrashOrder, STARTED } from "./crash-order.ts";

/** Disposing of it kills it. */
export class CrashingWorker implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #log = "";

  constructor(order: CrashOrder) {
    this.#child = spawn(process.execPath, [inject("crashingWorkerFile")], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, CRASH_ORDER: JSON.stringify(order) },
    });
    this.#ended = once(this.#child, "exit");
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text;
    });
    onTestFailed(() => console.error(`a worker's log:\n${this.#log.slice(-4000)}`));
  }

  /** Resolves to the signal or the code that ended it. */
  async ended(): Promise<NodeJS.Signals | number | null> {
    await this.#ended;
    return this.#child.signalCode ?? this.#child.exitCode;
  }

  async stop(): Promise<NodeJS.Signals | number | null> {
    await waitFor(() => this.#log.includes(STARTED), { what: "the worker to have started" });
    this.#child.kill("SIGTERM");
    return this.ended();
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
