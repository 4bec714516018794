// Connections of one endpoint: of its own, so that none waits for another's, and each through the guard. No proxy is asked, whatever
// the environment says: it would connect in the guard's place.

import { createRequire } from "node:module";
import { connect as connectTcp, type Socket } from "node:net";
import type { Agent } from "undici";
import { bareHost } from "./address.ts";
import type { Guard } from "./guard.ts";

/** As long as receivers mostly keep a connection that nobody uses: one that they have closed is a failed attempt. */
const KEPT_MS = 4000;

/** For HTTP. @param connections at once @param timeoutMs for connecting, with the look-up */
export function httpDialer(
  guard: Guard,
  { connections, timeoutMs }: { readonly connections: number; readonly timeoutMs: number },
): Agent {
  // Only now: a process without an endpoint starts sooner.
  const { Agent, buildConnector } = createRequire(import.meta.url)("undici") as typeof import("undici");
  const dial = buildConnector({ lookup: guard.lookup, autoSelectFamily: true, timeout: timeoutMs });
  return new Agent({
    connections,
    pipelining: 1,
    keepAliveTimeout: KEPT_MS,
    keepAliveMaxTimeout: KEPT_MS,
    // The signal of each request ends it.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (options, callback) => {
      const refused = guard.refused(options.hostname);
      if (refused === undefined) dial(options, callback);
      else callback(refused, null);
    },
  });
}

/** A connection by TCP, for mail. @throws TransientError ENDPOINT_ADDRESS_REFUSED, and what connecting fails by */
export function dialTcp(guard: Guard, host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const refused = guard.refused(host);
    if (refused !== undefined) return reject(refused);
    if (signal.aborted) return reject(signal.reason);
    const socket = connectTcp({ host: bareHost(host), port, lookup: guard.lookup, autoSelectFamily: true });
    const abort = (): void => void socket.destroy(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    socket.once("error", reject);
    socket.once("close", () => signal.removeEventListener("abort", abort));
    socket.once("connect", () => {
      socket.removeListener("error", reject);
      resolve(socket);
    });
  });
}
