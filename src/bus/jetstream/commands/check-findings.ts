// What `check` says of the bus, from what the server said of itself.

import { DiscardPolicy, type JetStreamAccountStats, type StreamInfo } from "@nats-io/jetstream";
import type { Retention } from "../../../event/retention.ts";
import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import { type Unfit, unfitError } from "../client/stream-fitness.ts";
import type { Fsync } from "../lease/horizon.ts";
import { retentionFindings, retentionText } from "./check-retention.ts";

/** A nats-server's own sync_interval. */
const DEFAULT_SYNC_MS = 120_000;
/** A shorter life says nothing of the rate. */
const RATE_SPAN_MS = 60 * 60_000;
const FULL = 0.95;

/** What a nats-server says of its own JetStream, whatever the account. */
export interface ServerStore {
  /** How it syncs; undefined where it does not say. */
  readonly fsync: Fsync | undefined;
  /** What all its accounts have stored in files, and its max_file_store. */
  readonly bytes: number;
  readonly maxBytes: number;
}

/**
 * @param toMake how many streams are still to be made at the first start, and once there is something for them
 * @param server undefined where it cannot be read
 */
export function accountFindings(
  account: JetStreamAccountStats,
  toMake: { readonly now: number; readonly later: number },
  server: ServerStore | undefined,
): Finding {
  const { limits, storage, streams } = account;
  const finding = { code: "BUS_LIMIT_REACHED", subject: "jetstream account" };
  const all = streams + toMake.now + toMake.later;
  if (limits.max_streams >= 0 && all > limits.max_streams) {
    const later = toMake.later === 0 ? "" : `, ${toMake.later} of them at the first large or system event`;
    return {
      ...finding,
      level: streams + toMake.now > limits.max_streams ? "fail" : "warn",
      message: `it has ${streams} streams and may have ${limits.max_streams}; ${all - streams} are still to be made${later}`,
      fix: `Raise the account's max_streams to at least ${all}.`,
    };
  }
  if (limits.max_storage >= 0 && storage >= limits.max_storage * FULL) {
    return {
      ...finding,
      level: "fail",
      message: `${megabytes(storage)} of ${megabytes(limits.max_storage)} of its storage are taken`,
      fix: "Raise the account's max_store, or remove streams that are not needed.",
    };
  }
  if (server !== undefined && server.bytes >= server.maxBytes * FULL) {
    return {
      ...finding,
      level: "fail",
      message: `${megabytes(server.bytes)} of ${megabytes(server.maxBytes)} of the server's max_file_store are taken`,
      fix: "Raise max_file_store in the server's jetstream block and reload or restart it, or remove what is not needed from its streams.",
    };
  }
  const own = limits.max_storage < 0 ? Number.POSITIVE_INFINITY : limits.max_storage - storage;
  if (server !== undefined) {
    const room = Math.min(own, server.maxBytes - server.bytes);
    return { ...finding, level: "ok", message: `it has room: ${megabytes(room)} of storage` };
  }
  const limit = own === Number.POSITIVE_INFINITY ? "it has no limit of its own" : `it may store ${megabytes(own)} more`;
  return { ...finding, level: "ok", message: `${limit}; the server's max_file_store cannot be read from here` };
}

export function replicasFinding(replicas: number, cluster: string | undefined): Finding {
  const finding = { code: "BUS_TOO_FEW_SERVERS", subject: "bus.replicas" };
  if (replicas > 1 && cluster === undefined) {
    return {
      ...finding,
      level: "fail",
      message: `${replicas} copies are wanted, but this nats-server is in no cluster`,
      fix: "Set bus.replicas to 1, or name the servers of a cluster in bus.servers.",
    };
  }
  if (replicas === 1) {
    return {
      ...finding,
      level: cluster === undefined ? "ok" : "warn",
      message: cluster === undefined ? "one copy, on one server" : "one copy: the cluster does not make it safer",
      ...(cluster === undefined ? {} : { fix: "Set bus.replicas to 3." }),
    };
  }
  return { ...finding, level: "ok", message: `${replicas} copies in the cluster ${cluster}` };
}

/** @param real undefined where it cannot be read */
export function fsyncFinding(stated: Fsync, real: Fsync | undefined): Finding {
  const finding = { code: "BUS_FSYNC", subject: "bus.fsync" };
  const said = describe(stated);
  if (real === undefined && millisecondsOf(stated) >= DEFAULT_SYNC_MS) {
    return { ...finding, level: "ok", message: `the configuration says ${said}, no more than a nats-server's default` };
  }
  if (real === undefined) {
    return {
      ...finding,
      level: "warn",
      message: `the configuration says ${said}; the server's sync_interval cannot be read from here`,
      fix: "See that sync_interval in the jetstream block of each server is that, or open its http_port 8222 to this machine.",
    };
  }
  if (millisecondsOf(real) <= millisecondsOf(stated)) {
    return { ...finding, level: "ok", message: `the configuration says ${said}, the server syncs ${describe(real)}` };
  }
  return {
    ...finding,
    level: "fail",
    message: `the configuration says ${said}, but the server syncs ${describe(real)}: a power cut would lose what Postgres no longer has`,
    fix: `Set sync_interval: ${stated === "always" ? "always" : `"${stated / 1000}s"`} in the server's jetstream block, or bus.fsync to ${real === "always" ? '"always"' : `"${real / 1000}s"`}.`,
  };
}

/** @param unfit for what the worker refuses it */
export function streamFindings(
  { config, state, cluster }: StreamInfo,
  { replicas, retention = {} }: { readonly replicas: number; readonly retention?: Retention },
  unfit: readonly Unfit[],
): readonly Finding[] {
  const subject = `stream ${config.name}`;
  const findings: Finding[] = [];
  for (const setting of unfit) findings.push(findingOf(unfitError(config.name, setting), subject));
  if (config.num_replicas !== replicas) {
    findings.push(
      about(subject).warn(
        "BUS_STREAM_REPLICAS",
        `it has ${config.num_replicas} copies, and bus.replicas says ${replicas}`,
        `nats stream edit ${config.name} --replicas ${replicas}`,
      ),
    );
  }
  findings.push(...retentionFindings(config, retention));
  const away = (cluster?.replicas ?? []).filter((peer) => peer.offline === true || !peer.current);
  if (away.length > 0) {
    findings.push(
      about(subject).warn(
        "BUS_REPLICA_AWAY",
        `copies that are away or behind: ${away.map(({ name }) => name).join(", ")}`,
        "See why these servers are down or slow; with the next one the stream stops taking events.",
      ),
    );
  }
  const early = holdsMs(config, state);
  if (early !== undefined) {
    findings.push(
      about(subject).warn(
        "BUS_STREAM_TOO_SMALL",
        `at the rate so far its max_bytes holds ${duration(early)} of events, not the ${duration(config.max_age / 1e6)} of its max_age${config.discard === DiscardPolicy.New ? ": then the source waits, and Postgres keeps its log" : ""}`,
        `nats stream edit ${config.name} --max-bytes=${Math.ceil((config.max_bytes * config.max_age) / 1e6 / Math.max(early, 1))}`,
      ),
    );
  }
  if (findings.length > 0) return findings;
  const message = `${state.messages} messages, ${megabytes(state.bytes)}; ${retentionText(config)}`;
  return [about(subject).ok("BUS_STREAM", message)];
}

/** For how long a stream holds its events, in ms, when that is shorter than it should be. */
function holdsMs(config: StreamInfo["config"], state: StreamInfo["state"]): number | undefined {
  if (config.max_bytes <= 0 || config.max_age <= 0 || state.messages < 2) return undefined;
  const spanMs = Date.parse(state.last_ts) - Date.parse(state.first_ts);
  const full = state.bytes >= config.max_bytes * FULL;
  if (spanMs < RATE_SPAN_MS && !full) return undefined;
  const ms = (spanMs * config.max_bytes) / state.bytes;
  return ms < config.max_age / 1e6 ? ms : undefined;
}

function millisecondsOf(fsync: Fsync): number {
  return fsync === "always" ? 0 : fsync;
}

function describe(fsync: Fsync): string {
  return fsync === "always" ? "always" : `every ${fsync / 1000} s`;
}

function duration(ms: number): string {
  const hours = ms / 3_600_000;
  if (hours >= 48) return `${(hours / 24).toFixed(1)} days`;
  return hours >= 1 ? `${hours.toFixed(1)} h` : `${Math.ceil(ms / 1000)} s`;
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 / 1024)} MB`;
}
