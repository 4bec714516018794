// Asks the running worker, at the configured address, how it does.

import type { Worker } from "../../app.ts";
import { resolveHttpConfig } from "../../config/resolve.ts";
import { ConfigError, TransientError } from "../../errors.ts";
import { readConfig } from "./load-config.ts";

export type Status = ReturnType<Worker["status"]>;

const ANSWER_MS = 5000;

/**
 * How to ask; reads the configuration once.
 * @throws what is wrong with the file; the asking itself TransientError STATUS_UNREACHABLE, ConfigError STATUS_REFUSED
 */
export async function runningWorker(file: string | undefined): Promise<() => Promise<Status>> {
  const { host, port, token } = resolveHttpConfig(await readConfig(file));
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}/api/status`;
  return () => ask(url, token?.reveal());
}

async function ask(url: string, token: string | undefined): Promise<Status> {
  let response: Response;
  try {
    response = await fetch(url, {
      signal: AbortSignal.timeout(ANSWER_MS),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
  } catch (cause) {
    throw new TransientError("STATUS_UNREACHABLE", `no worker answers at ${url}`, {
      hint: "Start it with `millrace run`, or name its address: http in the configuration, or MILLRACE_HTTP=host:port.",
      cause,
    });
  }
  if (!response.ok) {
    throw new ConfigError("STATUS_REFUSED", `${url} answers ${response.status}`, {
      hint: "Set MILLRACE_HTTP_TOKEN to the worker's own, and see that it is a Millrace worker that listens there.",
    });
  }
  return (await response.json()) as Status;
}
