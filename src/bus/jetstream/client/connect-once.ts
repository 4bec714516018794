// The connection of a command that asks the bus and ends: it does not wait for a server that is away.

import { MillraceError, TransientError } from "../../../errors.ts";
import { silentLogger } from "../../../telemetry/logger.ts";
import { addressesOf, type BusAccess } from "./access.ts";
import { Connection } from "./connection.ts";

const CONNECT_MS = 5000;

/** @throws TransientError BUS_UNREACHABLE; ConfigError as `Connection.open`; the signal's reason */
export async function connectOnce(access: BusAccess, signal: AbortSignal): Promise<Connection> {
  // Inside AbortSignal.any Node 20 may collect AbortSignal.timeout before it fires.
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), CONNECT_MS);
  try {
    return await Connection.open({ ...access, log: silentLogger, signal: AbortSignal.any([signal, late.signal]) });
  } catch (thrown) {
    if (thrown instanceof MillraceError || signal.aborted) throw thrown;
    const servers = addressesOf(access.servers).join(", ");
    throw new TransientError("BUS_UNREACHABLE", `no answer from ${servers} within ${CONNECT_MS / 1000} s`, {
      hint: "See that nats-server runs there and can be reached from here.",
    });
  } finally {
    clearTimeout(timer);
  }
}
