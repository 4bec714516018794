// `millrace dev` as a child process, and what it has said.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { Client, type QueryResultRow } from "pg";
import { inject, onTestFinished } from "vitest";
import { waitFor } from "../wait-for.ts";

export type Line = Readonly<Record<string, unknown>>;

export interface DevProcess {
  /** Waits for a line of its log, or of its worker's. */
  logged(event: string, matches?: (line: Line, nth: number) => boolean): Promise<Line>;
  /** Waits for words outside of the log. */
  said(pattern: RegExp): Promise<true>;
  stop(): void;
  /** The exit code. */
  readonly ended: Promise<number | null>;
}

/** Starts it in a directory, for the test that runs. */
export function startDev(cwd: string): DevProcess {
  const child = spawn(process.execPath, [inject("cliFile"), "dev"], {
    cwd,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, DATABASE_URL: "", NATS_URL: "", MILLRACE_HTTP: "127.0.0.1:0" },
  });
  onTestFinished(() => void child.kill("SIGTERM"));
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const lines = (): readonly Line[] =>
    said
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line) as Line);
  const wait = { timeoutMs: 40_000 };
  return {
    logged: (event, matches = () => true) =>
      waitFor(
        () =>
          lines()
            .filter((line) => line.event === event)
            .find(matches),
        { what: `${event} in:\n${said}`, ...wait },
      ),
    said: (pattern) => waitFor(() => pattern.test(said) || undefined, { what: `${pattern} in:\n${said}`, ...wait }),
    stop: () => void child.kill("SIGTERM"),
    ended: once(child, "exit").then(([code]) => code as number | null),
  };
}

/** Runs SQL in a session of its own. */
export async function query(connectionString: string, text: string): Promise<readonly QueryResultRow[]> {
  const client = new Client({ connectionString });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
