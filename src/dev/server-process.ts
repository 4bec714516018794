// One server as a child process: started until it answers, stopped, killed, frozen, started again; never an orphan.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, statSync } from "node:fs";
import { realClock } from "../clock.ts";
import { ConfigError, toError } from "../errors.ts";
import { endWithParent } from "./end-with-parent.ts";

/** A server that has not gone by then is killed: Postgres waits for a frozen reader of its log for a minute. */
const STOP_TIMEOUT_MS = 20_000;

/** What every embedded server can do. */
export interface DevServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** The id of the running process; changes with a restart. */
  readonly pid: number;
  /** Where its data and its log `server.log` really are. */
  readonly dataDir: string;
  /** Sends the signal and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Freezes it (SIGSTOP), its connections stay open. */
  pause(): void;
  resume(): void;
  /** Stops it in an orderly way if it runs, and starts it on the same port and data. */
  restart(): Promise<void>;
}

export interface ServerCommand {
  /** As a person calls it. */
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly logFile: string;
  /** Who it runs as; undefined: who we are. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
  /** The signal for the end of our own process; the server must need nothing more to go away. */
  readonly endSignal: NodeJS.Signals;
  /** Rejects until the server really answers. */
  readonly probe: () => Promise<void>;
  readonly startTimeoutMs: number;
}

export class ServerProcess {
  readonly #command: ServerCommand;
  #child: ChildProcess | undefined;

  constructor(command: ServerCommand) {
    this.#command = command;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new ConfigError("DEV_SERVER_STOPPED", `${this.#command.name} is not running`);
    return pid;
  }

  /** @throws ConfigError with the end of the log when it ends or does not answer in time. */
  async start(): Promise<void> {
    const { name, file, args, logFile, user, endSignal, probe, startTimeoutMs } = this.#command;
    const log = openSync(logFile, "a");
    const logStart = statSync(logFile).size;
    // Its own process group: Ctrl-C reaches us alone, and we stop things in the right order. In `/`, for its user may
    // not be able to enter where we are.
    const child = spawn(file, args, { stdio: ["ignore", log, log], detached: true, cwd: "/", ...user });
    closeSync(log);
    this.#child = child;
    const release = endWithParent(() => child.kill(endSignal));
    child.once("exit", release);
    let failure: Error | undefined;
    child.once("error", (error) => {
      failure = error;
      release();
    });

    const deadline = performance.now() + startTimeoutMs;
    for (;;) {
      const ended = failure !== undefined || hasEnded(child);
      try {
        if (!ended) return await probe();
      } catch (error) {
        failure ??= performance.now() > deadline ? toError(error) : undefined;
      }
      if (ended || failure !== undefined) {
        await this.kill("SIGKILL");
        throw new ConfigError("DEV_SERVER_FAILED", `${name} did not start\n${tail(logFile, logStart)}`, {
          hint: `see ${logFile}`,
          cause: failure,
        });
      }
      await realClock.sleep(25);
    }
  }

  /** Sends the signal and waits for the end; a frozen server is woken up for it. Fine when it has ended. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid === undefined || hasEnded(child)) return;
    const ended = once(child, "exit");
    const members = processFamily(child.pid);
    child.kill(signal);
    // Postgres' backends would notice their postmaster's death only in a while, and keep a restart from succeeding.
    for (const pid of members.slice(1)) send(pid, signal === "SIGKILL" ? "SIGKILL" : "SIGCONT");
    child.kill("SIGCONT");
    const patience = setTimeout(() => members.map((pid) => send(pid, "SIGKILL")), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(patience);
  }

  /** What its user is given. @param stop ends it in an orderly way */
  handle<Stop extends () => Promise<void>>(
    place: { readonly url: string; readonly port: number; readonly dataDir: string },
    stop: Stop,
  ): DevServer & { readonly stop: Stop } {
    const pid = (): number => this.pid;
    return {
      ...place,
      get pid() {
        return pid();
      },
      stop,
      kill: (signal = "SIGKILL") => this.kill(signal),
      pause: () => this.pause(),
      resume: () => this.resume(),
      restart: () => stop().then(() => this.start()),
      [Symbol.asyncDispose]: () => stop(),
    };
  }

  pause(): void {
    // The parent first, so that it starts nobody meanwhile.
    send(this.pid, "SIGSTOP");
    for (const pid of processFamily(this.pid)) send(pid, "SIGSTOP");
  }

  resume(): void {
    for (const pid of processFamily(this.pid)) send(pid, "SIGCONT");
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function tail(logFile: string, from: number): string {
  const lines = readFileSync(logFile).subarray(from).toString("utf8").trimEnd().split("\n");
  return lines.slice(-20).join("\n");
}

/** The process itself, then its direct children. */
function processFamily(pid: number): readonly number[] {
  const rows = process.platform === "linux" ? fromProc() : fromPs();
  return [pid, ...rows.filter((row) => row.parent === pid).map((row) => row.pid)];
}

interface Row {
  readonly pid: number;
  readonly parent: number;
}

/** Small Linux images have no `ps`. */
function fromProc(): readonly Row[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // The command's name, in parentheses, may hold anything; behind it: state, parent, …
        const stat = readFileSync(`/proc/${name}/stat`, "latin1");
        const parent = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
        return [{ pid: Number(name), parent: Number(parent) }];
      } catch {
        return []; // it ended meanwhile
      }
    });
}

function fromPs(): readonly Row[] {
  const table = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  return table
    .trim()
    .split("\n")
    .map((row) => {
      const [pid, parent] = row.trim().split(/\s+/);
      return { pid: Number(pid), parent: Number(parent) };
    });
}
