// The built command as a child process, as a user runs it: `millrace run` in a directory with a configuration file.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inject, onTestFailed } from "vitest";
import { freePort } from "../../../src/dev/free-port.ts";
import { scratchDir } from "../servers.ts";
import { waitFor } from "../wait-for.ts";

export interface WorkerOptions {
  /** The built command; default: what the test run has built. */
  readonly cliFile?: string;
  /** Behind `run`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where it runs; default: a fresh one. */
  readonly directory?: string;
  /** Written beside the configuration, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

/** One `millrace run`. Disposing of it kills it. */
export class WorkerProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #logFile: string;
  readonly #configFile: string;
  readonly #options: WorkerOptions;
  /** Where it answers `/healthz`, `/readyz`, `/metrics`, `/api/status`. */
  readonly httpUrl: string;

  private constructor(configFile: string, options: WorkerOptions, port: number) {
    this.#configFile = configFile;
    this.#options = options;
    this.#logFile = join(configFile, "..", "worker.log");
    this.httpUrl = `http://127.0.0.1:${port}`;
    const log = openSync(this.#logFile, "a");
    this.#child = spawn(process.execPath, [options.cliFile ?? inject("cliFile"), "run", ...(options.args ?? [])], {
      cwd: join(configFile, ".."),
      stdio: ["ignore", log, log],
      env: { ...process.env, MILLRACE_HTTP: `127.0.0.1:${port}`, ...options.env },
    });
    closeSync(log);
  }

  /** Starts it; `configuration` becomes its `millrace.config.json`. A failing test prints the end of its log. */
  static async start(configuration: unknown, options: WorkerOptions = {}): Promise<WorkerProcess> {
    const directory = options.directory ?? (await scratchDir());
    await mkdir(directory, { recursive: true });
    const configFile = join(directory, "millrace.config.json");
    await writeFile(configFile, JSON.stringify(configuration, null, 2));
    for (const [name, text] of Object.entries(options.files ?? {})) {
      await mkdir(dirname(join(directory, name)), { recursive: true });
      await writeFile(join(directory, name), text);
    }
    const worker = new WorkerProcess(configFile, options, await freePort());
    worker.#tellWhenTestFails();
    return worker;
  }

  /** Another one with the same configuration and directory, for instance after a kill. */
  async again(options: WorkerOptions = this.#options): Promise<WorkerProcess> {
    return new WorkerProcess(this.#configFile, options, await freePort());
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("the worker could not be started");
    return this.#child.pid;
  }

  /** Resolves to the exit code, or to the name of the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals> {
    if (!this.#hasEnded()) await once(this.#child, "exit");
    return this.#child.exitCode ?? this.#child.signalCode ?? "SIGKILL";
  }

  /** SIGTERM: drains. Resolves to the exit code. */
  stop(): Promise<number | NodeJS.Signals> {
    this.#child.kill("SIGTERM");
    return this.ended();
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.#child.kill(signal);
    await this.ended();
  }

  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** All it has written, earlier runs in the same directory included. */
  log(): string {
    return readFileSync(this.#logFile, "utf8");
  }

  /** The log's lines that are JSON objects. */
  logLines(): readonly Readonly<Record<string, unknown>>[] {
    return this.log()
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  }

  /** Waits until the log has an event of this name that also `matches`. @throws Error when the worker ends before */
  async logged(
    event: string,
    matches: (line: Readonly<Record<string, unknown>>) => boolean = () => true,
    timeoutMs = 60_000,
  ): Promise<Readonly<Record<string, unknown>>> {
    const look = (): Readonly<Record<string, unknown>> | null | undefined => {
      const ended = this.#hasEnded();
      return this.logLines().find((line) => line.event === event && matches(line)) ?? (ended ? null : undefined);
    };
    const found = await waitFor(look, { what: `${event} in the worker's log`, timeoutMs });
    if (found === null) throw new Error(`the worker ended before it logged ${event}`);
    return found;
  }

  #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #tellWhenTestFails(): void {
    try {
      onTestFailed(() => console.error(`end of ${this.#logFile}:\n${this.log().slice(-8_000)}`));
    } catch {
      // started by a hook: there is no test yet
    }
  }
}
