// `millrace report -- command …`: runs a command as it would run without us, and tells how it ended.
//
// The command's end comes first: whatever becomes of the event, the exit code is the command's. Killed while the command runs, or
// before the bus has acknowledged: nothing is told. Told twice (an answer that was lost): one event, by the run's id.

import { randomUUID } from "node:crypto";
import { basename } from "node:path";
import { publishEvent } from "../../bus/jetstream/commands/publish-event.ts";
import { realClock, within } from "../../clock.ts";
import { resolveBusConfig } from "../../config/resolve.ts";
import { ConfigError, TransientError } from "../../errors.ts";
import { type ScriptData, scriptEvent, scriptType } from "../../event/script-event.ts";
import { readConfig } from "../common/load-config.ts";
import { describeError } from "../common/report-error.ts";
import { endBySigint, runScript, shellCode } from "../common/run-script.ts";

export interface ReportOptions {
  /** The command and its arguments; at least one. */
  readonly command: readonly string[];
  /** What the event calls it; undefined: the command's file name. */
  readonly name?: string | undefined;
  /** Where a worker listens for typed POSTs; undefined: straight to the bus, by the configuration. */
  readonly to?: string | undefined;
  /** The environment variable with the token for it. */
  readonly tokenEnv: string;
  readonly config?: string | undefined;
  /** Writes a line beside the command's own. */
  readonly warn: (line: string) => void;
}

/** What telling may cost the script's caller, all in all. */
const PATIENCE_MS = 5000;
const PAUSE_MS = 250;

/** Resolves to the exit code: the command's own. Never rejects. Does not return where SIGINT has ended the command. */
export async function report({ command, name, warn, ...way }: ReportOptions): Promise<number> {
  const id = randomUUID();
  const startedAt = new Date(realClock.wall()).toISOString();
  const began = realClock.now();
  const end = await runScript(command);
  const durationMs = Math.round(realClock.now() - began);
  if (end.error !== null) {
    const reason = new ConfigError("SCRIPT_NOT_STARTED", `${command[0]} could not be started: ${end.error}`, {
      hint: "name a program that is there; it is run without a shell: for a shell's own words write sh -c '…'",
    });
    warn(describeError(reason, false));
  }
  const data: ScriptData = { name: name ?? basename(command[0] ?? ""), ...end, startedAt, durationMs };
  const late = new AbortController();
  try {
    const tell = way.to === undefined ? toBus(id, data, way.config, late.signal) : toWorker(id, data, way, late.signal);
    const told = await within(
      realClock,
      PATIENCE_MS,
      tell.then(() => true),
    );
    if (!told) throw unreported(`nobody answered within ${PATIENCE_MS / 1000} s`);
  } catch (thrown) {
    warn(describeError(thrown, false));
  } finally {
    late.abort();
  }
  if (end.signal === "SIGINT") endBySigint();
  return shellCode(end);
}

async function toBus(id: string, data: ScriptData, config: string | undefined, signal: AbortSignal): Promise<void> {
  const { access, replicas } = resolveBusConfig(await readConfig(config));
  const event = scriptEvent(id, data, new Date(realClock.wall()).toISOString());
  await publishEvent(event, { ...access.reveal(), replicas, signal });
}

/** Again while the worker says that it cannot now, or is not there: it knows the run by its id. */
async function toWorker(
  id: string,
  data: ScriptData,
  { to = "", tokenEnv }: Pick<ReportOptions, "to" | "tokenEnv">,
  signal: AbortSignal,
): Promise<void> {
  const token = process.env[tokenEnv];
  if (!token) {
    throw new ConfigError("ENV_MISSING", `the environment variable ${tokenEnv} is not set`, {
      hint: "set it to a token of events.token, or name another variable with --token-env",
    });
  }
  const url = `${to.replace(/\/+$/, "")}/events/${scriptType(data)}`;
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}`, "idempotency-key": id };
  const request = { method: "POST", headers, body: JSON.stringify(data), redirect: "error", signal } as const;
  let status = 0;
  for (let again = true; again; ) {
    const answer = await fetch(url, request).catch(() => undefined);
    await answer?.body?.cancel();
    status = answer?.status ?? 0;
    again = (status === 0 || status === 429 || status >= 500) && !signal.aborted;
    if (again) await realClock.sleep(PAUSE_MS, signal);
  }
  if (status < 200 || status > 299) throw unreported(`the worker answered ${status}`);
}

function unreported(why: string): TransientError {
  return new TransientError("SCRIPT_UNREPORTED", `how the script ended is not told: ${why}`, {
    hint: "see that the bus, or the worker behind --to, is there and lets this machine in; the script itself has run",
  });
}
