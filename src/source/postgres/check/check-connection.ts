// What `check` says of the way to the server: a pooler on it, its timeout, and the two clocks at its ends.

import { about, type Finding } from "../../../telemetry/finding.ts";
import { parseConnectionUrl } from "../client/connection-url.ts";
import type { ClockFacts } from "../facts/server.ts";
import type { PostgresConfig } from "../options/config.ts";

const POOLER_PORTS: readonly number[] = [6432, 6543];
const SHORT_TIMEOUT_MS = 10_000;
const SKEW_MS = 5_000;

export function addressFindings({ url, timeoutMs }: Pick<PostgresConfig, "url" | "timeoutMs">): readonly Finding[] {
  const pooled = parseConnectionUrl(url).hosts.find(
    ({ host, port }) => POOLER_PORTS.includes(port) || /^pooler\.|[-.]pooler\./.test(host),
  );
  const short = timeoutMs < SHORT_TIMEOUT_MS;
  return [
    pooled !== undefined
      ? about("url").warn(
          "POOLER_IN_THE_WAY",
          `${pooled.host}:${pooled.port} looks like a connection pooler; replication needs the server itself`,
          "Use the database's own host and port (most often 5432) in the source's url.",
        )
      : about("url").ok("POOLER_IN_THE_WAY", "no known pooler's host or port"),
    short
      ? about("timeout").warn(
          "TIMEOUT_SHORT",
          `the server would drop the worker after ${timeoutMs / 1000} s without an answer: a short stall ends the stream`,
          "Set the source's option timeout to \"30s\"; it is the wal_sender_timeout of the worker's own session.",
        )
      : about("timeout").ok(
          "TIMEOUT_SHORT",
          `wal_sender_timeout will be ${timeoutMs / 1000} s in the worker's session, whatever the server's is`,
        ),
  ];
}

export function clockFinding({ aheadMs, roundTripMs }: ClockFacts): Finding {
  const { ok, warn } = about("clock");
  const apart = `${Math.abs(aheadMs)} ms ${aheadMs < 0 ? "behind" : "ahead of"} this machine's`;
  if (Math.abs(aheadMs) - roundTripMs / 2 <= SKEW_MS) {
    return ok("CLOCK_SKEW", `the server's clock is ${apart}`);
  }
  return warn(
    "CLOCK_SKEW",
    `the server's clock is ${apart}: lag in seconds will be wrong by that; order and delivery do not depend on it`,
    "Let both machines follow a time server (chrony, systemd-timesyncd).",
  );
}
