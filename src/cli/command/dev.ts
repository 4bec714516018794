// `millrace dev`: the worker with servers of its own where none are named, started again at each change.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, relative } from "node:path";
import { realClock } from "../../clock.ts";
import { findConfigFile, loadConfigFile } from "../../config/load.ts";
import { resolveHttpConfig } from "../../config/resolve.ts";
import { DevServers } from "../../dev/dev-servers.ts";
import { endWithParent } from "../../dev/end-with-parent.ts";
import { changedFiles, fileFingerprint } from "../../dev/file-changes.ts";
import { freePort } from "../../dev/free-port.ts";
import { ConfigError } from "../../errors.ts";
import * as millrace from "../../index.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { describeError } from "../common/report-error.ts";

export interface DevOptions {
  /** The file; undefined means the `millrace.config.*` here. */
  readonly config?: string | undefined;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

const LOOK_EVERY_MS = 300;

/** Resolves when it was asked to stop, and all is stopped. @throws ConfigError when a server cannot be had */
export async function dev({ config, log, signal }: DevOptions): Promise<void> {
  const file = findConfigFile(config, process.cwd());
  const directory = dirname(file);
  await using servers = new DevServers({ directory, log });
  while (!signal.aborted) {
    const before = await fileFingerprint(directory);
    const variables = await provided(file, servers);
    await using worker = variables === undefined ? undefined : startWorker(file, variables, log);
    const known = [before, await servers.tables()] as const;
    const now = await settledChange(
      known,
      async () => [await fileFingerprint(directory), await servers.tables()] as const,
      signal,
    );
    if (worker === undefined || signal.aborted) continue;
    const files = changedFiles(known[0], now[0]).map((changed) => relative(directory, changed));
    log.info("dev_reloading", { files, tables: now[1] !== known[1] });
  }
}

/** Undefined, and said, where a file has to be mended first. */
async function provided(file: string, servers: DevServers): Promise<Readonly<Record<string, string>> | undefined> {
  try {
    // As it is now, and not as this process has loaded it before.
    const options = { file, directory: dirname(file), modules: { millrace }, automations: false, fresh: true };
    const config = await loadConfigFile(options).catch((error: unknown) => {
      throw error instanceof ConfigError ? new Mendable(error) : error;
    });
    return { ...(await servers.provide(config)), ...(await httpAddress(config).catch(() => ({}))) }; // the worker says what is wrong with it
  } catch (thrown) {
    const error = thrown instanceof Mendable ? thrown.error : thrown;
    const mendable = thrown instanceof Mendable || (error instanceof ConfigError && error.code === "DEV_SQL_FAILED");
    if (!mendable) throw error;
    console.error(describeError(error, false));
    return undefined;
  }
}

/** The configured address, or a free port where another worker has it: two projects may be worked on at once. */
async function httpAddress(config: unknown): Promise<Readonly<Record<string, string>>> {
  if (process.env.MILLRACE_HTTP) return {};
  const { host, port } = resolveHttpConfig(config);
  return host === "127.0.0.1" && port !== 0 ? { MILLRACE_HTTP: `${host}:${await freePort(port)}` } : {};
}

/** Wrong in a way that a change of a file may mend. */
class Mendable extends Error {
  readonly error: ConfigError;

  constructor(error: ConfigError) {
    super(error.message);
    this.error = error;
  }
}

/** `millrace run` in a process of its own: what a module has loaded or opened goes with it. */
function startWorker(file: string, variables: Readonly<Record<string, string>>, log: Logger): AsyncDisposable {
  const [command = ""] = process.argv.slice(1);
  const child = spawn(process.execPath, [...process.execArgv, command, "run", "--config", file], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...variables, MILLRACE_DEV: "1" },
    detached: true, // Ctrl-C reaches us alone, and we stop things in the right order
  });
  const release = endWithParent(() => child.kill("SIGKILL"));
  const ended = once(child, "exit").finally(release);
  let stopping = false;
  ended.then(
    ([code]) => {
      if (!stopping)
        log.warn("dev_worker_ended", { code }, "the worker ended; it waits for a change of a file or a table");
    },
    () => {}, // told by the disposal
  );
  return {
    [Symbol.asyncDispose]: async () => {
      stopping = true;
      child.kill("SIGTERM");
      await ended;
    },
  };
}

type Look = readonly [files: string, tables: string];

/** Resolves to what is seen when it has changed and stands still, or at the signal. */
async function settledChange(known: Look, look: () => Promise<Look>, signal: AbortSignal): Promise<Look> {
  let last = known;
  while (!signal.aborted) {
    await realClock.sleep(LOOK_EVERY_MS, signal); // asked to end
    const now = await look();
    if (now.join() !== known.join() && now.join() === last.join()) return now;
    last = now;
  }
  return last;
}
