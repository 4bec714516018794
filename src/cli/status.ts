// `millrace status`: what the running worker says of itself over its HTTP port.

import { setTimeout as delay } from "node:timers/promises";
import type { Worker } from "../app.ts";
import { connectors } from "../app.ts";
import { loadConfigFile } from "../config/load.ts";
import { resolveConfig } from "../config/resolve.ts";
import { ConfigError, TransientError } from "../errors.ts";
import * as millrace from "../index.ts";
import { bytes, duration } from "./slots-table.ts";
import { type Paint, paint, printable, wrap } from "./terminal.ts";

export interface StatusOptions {
  readonly config?: string | undefined;
  readonly watch: boolean;
  readonly json: boolean;
  readonly signal: AbortSignal;
  readonly print: (line: string) => Promise<void>;
}

type Status = ReturnType<Worker["status"]>;

const LOOK_EVERY_MS = 2000;
const ANSWER_MS = 5000;
const FINE: readonly string[] = ["running", "waiting-for-lease"];
/** As long as /readyz waits. */
const STALLED_MS = 30_000;

/** @throws TransientError STATUS_UNREACHABLE; ConfigError STATUS_REFUSED, and what is wrong with the file */
export async function status({ config: file, watch, json, signal, print }: StatusOptions): Promise<void> {
  const input = await loadConfigFile({ file, directory: process.cwd(), modules: { millrace }, automations: false });
  const { host, port, token } = resolveConfig(input, connectors).http;
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}/api/status`;
  const redraw = watch && !json && process.stdout.isTTY === true;
  for (;;) {
    const now = await ask(url, token?.reveal());
    if (redraw) await print("\u001b[2J\u001b[H");
    for (const line of json ? [JSON.stringify(now)] : statusLines(now, paint(process.stdout))) await print(line);
    if (!watch || signal.aborted) return;
    await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {}); // asked to end
    if (signal.aborted) return;
  }
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

/** Within 100 columns. */
export function statusLines(status: Status, colour: Paint): readonly string[] {
  const { bus, sources, automations, version, startedAt } = status;
  const up = duration((Date.now() - Date.parse(startedAt)) / 1000);
  const connected = bus.connected ? colour("green", "connected") : colour("red", "not connected");
  const lines = [`millrace ${version}, up for ${up}, bus ${connected}`];
  if (sources.length > 0) {
    lines.push("", colour("dim", row(SOURCE, HEADS)));
  }
  for (const source of sources) {
    const fine = FINE.includes(source.state) && source.stalledMs < STALLED_MS;
    const { published, acknowledged, heldForFsync, poison } = source;
    const waiting = heldForFsync.marks === 0 ? "-" : duration(heldForFsync.oldestMs / 1000);
    const unconfirmed = bytes(source.unconfirmedBytes ?? null);
    const cells = [source.id, source.state, published, acknowledged, unconfirmed, waiting, poison];
    lines.push(colour(fine ? "green" : "red", row(SOURCE, cells)));
    if (source.stalledMs >= STALLED_MS) {
      lines.push(`    nothing could be stored for ${duration(source.stalledMs / 1000)}`);
    }
    lines.push(...reason(source));
  }
  if (automations.length > 0) {
    lines.push("", colour("dim", row(AUTOMATION, ["AUTOMATION", "STATE", "HANDLED", "RUNNING", "RETRIED", "DEAD"])));
  }
  for (const automation of automations) {
    const { id, state, handled, running, retried, dead } = automation;
    const cells = row(AUTOMATION, [id, state, handled, running, retried, dead]);
    lines.push(colour(state === "running" ? "green" : "red", cells), ...reason(automation));
  }
  return lines;
}

const SOURCE: readonly number[] = [24, 17, 11, 12, 11, 8, 7];
const HEADS: readonly string[] = ["SOURCE", "STATE", "PUBLISHED", "ACKNOWLEDGED", "UNCONFIRMED", "WAITING", "POISON"];
const AUTOMATION: readonly number[] = [44, 10, 12, 8, 9, 8];

function row(widths: readonly number[], cells: readonly (string | number)[]): string {
  return cells
    .map((cell, nth) => {
      const width = widths[nth] ?? 0;
      const text = printable(String(cell));
      if (nth > 1) return text.padStart(width);
      return (text.length <= width ? text : `${text.slice(0, width - 1)}…`).padEnd(width);
    })
    .join(" ")
    .trimEnd();
}

function reason(part: { readonly reason?: { readonly code: string; readonly message: string } | undefined }): string[] {
  if (part.reason === undefined) return [];
  return wrap(printable(`${part.reason.code}: ${part.reason.message}`), 96).map((line) => `    ${line}`);
}
