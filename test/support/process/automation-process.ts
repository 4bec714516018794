// Automations in a process of their own, which can be frozen and killed; it notes each start and end of a handler.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { inject, onTestFailed } from "vitest";
import type { AutomationOrder, Note } from "../check/automation-order.ts";

/** Disposing of it kills it. */
export class AutomationProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #log = "";

  /** @param onNote called with each note as it comes */
  constructor(order: AutomationOrder, onNote: (note: Note) => void) {
    this.#child = spawn(process.execPath, [inject("automationProcessFile")], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, AUTOMATION_ORDER: JSON.stringify(order) },
    });
    this.#ended = once(this.#child, "exit");
    let rest = "";
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onNote(JSON.parse(line) as Note);
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text;
    });
    onTestFailed(() => console.error(`the log of process ${this.pid}:\n${this.#log.slice(-4000)}`));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it has logged, a JSON object a line. */
  get log(): string {
    return this.#log;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async ended(): Promise<void> {
    await this.#ended;
  }

  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  wake(): void {
    this.#child.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
