// A command run as if nobody stood between: its own input and output, its signals, its end.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";

export interface ScriptEnd {
  /** Null when a signal ended it, or when it could not be started. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started: `ENOENT`. */
  readonly error: string | null;
}

/** What whoever started us may want to say to the command. SIGSTOP and SIGKILL cannot be passed on. */
const PASSED: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"];

/** A terminal sends these to all that it runs in its foreground, so to the command itself: passed on, they would come twice. */
const FROM_TERMINAL: ReadonlySet<NodeJS.Signals> = new Set(["SIGINT", "SIGQUIT", "SIGWINCH"]);

/** Resolves when it has ended; never rejects. No shell reads the command. From then on signals are no more passed on, and ignored. */
export function runScript([command = "", ...args]: readonly string[]): Promise<ScriptEnd> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: "inherit", shell: false });
    for (const signal of PASSED) {
      process.on(signal, () => {
        if (!(FROM_TERMINAL.has(signal) && inForeground())) child.kill(signal);
      });
    }
    child.on("error", (error: NodeJS.ErrnoException) => {
      // Also comes when a signal could not be passed on: then the command is still there.
      if (child.pid === undefined) resolve({ exitCode: null, signal: null, error: error.code ?? error.name });
    });
    child.on("exit", (exitCode, signal) => resolve({ exitCode, signal, error: null }));
  });
}

/**
 * Whether a terminal runs us in its foreground now, wherever our input and output go; not as a job of cron, nor behind a shell's `&`.
 * Where the kernel does not tell (no Linux), a terminal among input and output counts.
 */
function inForeground(): boolean {
  try {
    const stat = readFileSync("/proc/self/stat", "latin1");
    // Behind the name, in parentheses: state, parent, process group, session, terminal, the terminal's foreground group.
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return group === foreground;
  } catch {
    return [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  }
}

/**
 * Ends us by SIGINT, as it has ended the command: a shell whose script runs us ends that too at Ctrl-C, and goes on behind an exit
 * code, also 130.
 */
export function endBySigint(): void {
  process.removeAllListeners("SIGINT");
  process.kill(process.pid, "SIGINT");
}

/** What a shell would say: the exit code, 128 and the signal's number, 127 for what is not there, 126 for what cannot be run. */
export function shellCode({ exitCode, signal, error }: ScriptEnd): number {
  if (exitCode !== null) return exitCode;
  if (signal !== null) return 128 + constants.signals[signal];
  return error === "ENOENT" ? 127 : 126;
}
