// The built command on a terminal of its own, as a person has it: what is typed, and all that is shown.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { inject } from "vitest";
import { waitFor } from "../wait-for.ts";

/** Whether this machine has util-linux' `script`, which makes the terminal. Says so aloud where it has not. */
export function hasTerminals(): boolean {
  const there = /util-linux/.test(spawnSync("script", ["--version"], { encoding: "utf8" }).stdout ?? "");
  if (!there) console.error("skipping tests: no `script` of util-linux");
  return there;
}

export interface TerminalOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: number;
  /** What is run; default: the built command. */
  readonly program?: readonly string[];
}

export interface OnTerminal {
  /** All that was shown, what was typed included. */
  shown(): string;
  /** Waits until that matches. */
  shows(pattern: RegExp): Promise<void>;
  type(text: string): void;
  readonly ended: Promise<number | null>;
}

export function onTerminal(args: readonly string[], options: TerminalOptions): OnTerminal {
  const { cwd, env, columns, program = [process.execPath, inject("cliFile")] } = options;
  const quoted = [...program, ...args].map((word) => `'${word}'`).join(" ");
  // `exec`, or else the shell may stay, and Ctrl-C ends it with 130 whatever the command says (dash, where SHELL is unset).
  const command = `${columns === undefined ? "" : `stty cols ${columns} rows 24; `}exec ${quoted}`;
  const child = spawn("script", ["--quiet", "--flush", "--return", "--command", command, "/dev/null"], {
    cwd,
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, NO_COLOR: "", FORCE_COLOR: "1", ...env },
  });
  let shown = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
  });
  return {
    shown: () => shown,
    shows: async (pattern) => {
      await waitFor(() => pattern.test(shown), { what: `${pattern} on the terminal` });
    },
    type: (text) => void child.stdin.write(text),
    ended: once(child, "close").then(([code]) => code as number | null),
  };
}
