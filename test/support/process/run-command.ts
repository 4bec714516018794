// The built command, run once to its end.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { inject } from "vitest";

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The built command; default: what the test run has built. */
  readonly cliFile?: string;
  /** Kills it (SIGKILL) when it aborts. */
  readonly kill?: AbortSignal;
}

/** Resolves when it has ended, whatever its exit code. */
export async function runCommand(
  args: readonly string[],
  { cwd, env, cliFile, kill }: CommandOptions,
): Promise<CommandResult> {
  const child = spawn(process.execPath, [cliFile ?? inject("cliFile"), ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  kill?.addEventListener("abort", () => void child.kill("SIGKILL"));
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  await once(child, "close");
  return { code: child.exitCode, ...output };
}
