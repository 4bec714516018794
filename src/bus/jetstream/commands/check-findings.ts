// What `check` says of the bus, from what the server said of itself.

import { DiscardPolicy, type JetStreamAccountStats, type StreamConfig, type StreamInfo } from "@nats-io/jetstream";
import type { Retention } from "../../../event/retention.ts";
import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import { type Unfit, unfitError } from "../client/stream-fitness.ts";
import type { Fsync } from "../lease/horizon.ts";

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
  const { ok, warn, fail } = about("jetstream account");
  const code = "BUS_LIMIT_REACHED";
  const all = streams + toMake.now + toMake.later;
  if (limits.max_streams >= 0 && all > limits.max_streams) {
    const later = toMake.later === 0 ? "" : `, ${toMake.later} of them at the first large or system event`;
    const message = `it has ${streams} streams and may have ${limits.max_streams}; ${all - streams} are still to be made${later}`;
    const say = streams + toMake.now > limits.max_streams ? fail : warn;
    return say(code, message, `Raise the account's max_streams to at least ${all}.`);
  }
  if (limits.max_storage >= 0 && storage >= limits.max_storage * FULL) {
    const message = `${megabytes(storage)} of ${megabytes(limits.max_storage)} of its storage are taken`;
    return fail(code, message, "Raise the account's max_store, or remove streams that are not needed.");
  }
  if (server !== undefined && server.bytes >= server.maxBytes * FULL) {
    return fail(
      code,
      `${megabytes(server.bytes)} of ${megabytes(server.maxBytes)} of the server's max_file_store are taken`,
      "Raise max_file_store in the server's jetstream block and reload or restart it, or remove what is not needed from its streams.",
    );
  }
  const own = limits.max_storage < 0 ? Number.POSITIVE_INFINITY : limits.max_storage - storage;
  if (server !== undefined) {
    const room = Math.min(own, server.maxBytes - server.bytes);
    return ok(code, `it has room: ${megabytes(room)} of storage`);
  }
  const limit = own === Number.POSITIVE_INFINITY ? "it has no limit of its own" : `it may store ${megabytes(own)} more`;
  return ok(code, `${limit}; the server's max_file_store cannot be read from here`);
}

export function replicasFinding(replicas: number, cluster: string | undefined): Finding {
  const { ok, warn, fail } = about("bus.replicas");
  const code = "BUS_TOO_FEW_SERVERS";
  if (replicas > 1 && cluster === undefined) {
    const message = `${replicas} copies are wanted, but this nats-server is in no cluster`;
    return fail(code, message, "Set bus.replicas to 1, or name the servers of a cluster in bus.servers.");
  }
  if (replicas > 1) return ok(code, `${replicas} copies in the cluster ${cluster}`);
  if (cluster === undefined) return ok(code, "one copy, on one server");
  return warn(code, "one copy: the cluster does not make it safer", "Set bus.replicas to 3.");
}

/** @param real undefined where it cannot be read */
export function fsyncFinding(stated: Fsync, real: Fsync | undefined): Finding {
  const { ok, warn, fail } = about("bus.fsync");
  const code = "BUS_FSYNC";
  const said = `the configuration says ${describe(stated)}`;
  if (real === undefined && millisecondsOf(stated) >= DEFAULT_SYNC_MS)
    return ok(code, `${said}, no more than a nats-server's default`);
  if (real === undefined) {
    return warn(
      code,
      `${said}; the server's sync_interval cannot be read from here`,
      "See that sync_interval in the jetstream block of each server is that, or open its http_port 8222 to this machine.",
    );
  }
  if (millisecondsOf(real) <= millisecondsOf(stated)) return ok(code, `${said}, the server syncs ${describe(real)}`);
  return fail(
    code,
    `${said}, but the server syncs ${describe(real)}: a power cut would lose what Postgres no longer has`,
    `Set sync_interval: ${stated === "always" ? "always" : `"${stated / 1000}s"`} in the server's jetstream block, or bus.fsync to ${real === "always" ? '"always"' : `"${real / 1000}s"`}.`,
  );
}

/** @param unfit for what the worker refuses it */
export function streamFindings(
  { config, state, cluster }: StreamInfo,
  { replicas, retention = {} }: { readonly replicas: number; readonly retention?: Retention },
  unfit: readonly Unfit[],
): readonly Finding[] {
  const subject = `stream ${config.name}`;
  const { ok, warn } = about(subject);
  const findings = unfit.map((setting) => findingOf(unfitError(config.name, setting), subject));
  if (config.num_replicas !== replicas) {
    const message = `it has ${config.num_replicas} copies, and bus.replicas says ${replicas}`;
    findings.push(warn("BUS_STREAM_REPLICAS", message, `nats stream edit ${config.name} --replicas ${replicas}`));
  }
  findings.push(...retentionFindings(config, retention));
  const away = (cluster?.replicas ?? []).filter((peer) => peer.offline === true || !peer.current);
  if (away.length > 0) {
    const message = `copies that are away or behind: ${away.map(({ name }) => name).join(", ")}`;
    const fix = "See why these servers are down or slow; with the next one the stream stops taking events.";
    findings.push(warn("BUS_REPLICA_AWAY", message, fix));
  }
  const early = holdsMs(config, state);
  if (early !== undefined) {
    const then = config.discard === DiscardPolicy.New ? ": then the source waits, and Postgres keeps its log" : "";
    const message = `at the rate so far its max_bytes holds ${duration(early)} of events, not the ${duration(config.max_age / 1e6)} of its max_age${then}`;
    const enough = Math.ceil((config.max_bytes * config.max_age) / 1e6 / Math.max(early, 1));
    findings.push(warn("BUS_STREAM_TOO_SMALL", message, `nats stream edit ${config.name} --max-bytes=${enough}`));
  }
  if (findings.length > 0) return findings;
  const message = `${state.messages} messages, ${megabytes(state.bytes)}; ${retentionText(config)}`;
  return [ok("BUS_STREAM", message)];
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

/** What a stream keeps otherwise than the configuration states: only a new one is made by it. */
function retentionFindings(config: StreamConfig, { ageMs, bytes, discard }: Retention): readonly Finding[] {
  const differs: string[] = [];
  const options: string[] = [];
  const is = keptAs(config);
  if (ageMs !== undefined && ageMs !== is.ageMs) {
    differs.push(`age: it keeps events ${age(is.ageMs)}, and the configuration says ${age(ageMs)}`);
    options.push(`--max-age=${ageMs === Number.POSITIVE_INFINITY ? "0s" : flagDuration(ageMs)}`);
  }
  if (bytes !== undefined && bytes !== is.bytes) {
    differs.push(`bytes: it keeps ${is.bytes ?? "any number of"} bytes, and the configuration says ${bytes}`);
    options.push(`--max-bytes=${bytes}`);
  }
  if (discard !== undefined && discard !== is.discard) {
    differs.push(`discard: it discards ${is.discard} events when it is full, and the configuration says ${discard}`);
    options.push(`--discard=${discard}`);
  }
  if (differs.length === 0) return [];
  const message = `bus.retention is for a new stream, and this one is there already; ${differs.join("; ")}`;
  const fix = `nats stream edit ${config.name} ${options.join(" ")}`;
  return [about(`stream ${config.name}`).warn("BUS_STREAM_RETENTION", message, fix)];
}

/** What a stream keeps, in one sentence. */
function retentionText(config: StreamConfig): string {
  const { ageMs, bytes, discard } = keptAs(config);
  const limit = bytes === undefined ? "" : `, ${Math.ceil(bytes / 1024 / 1024)} MB at most`;
  return `it keeps events ${age(ageMs)}${limit}${discard === "new" ? ", and takes no new ones when it is full" : ""}`;
}

function keptAs({ max_age, max_bytes, discard }: StreamConfig): Retention & { readonly ageMs: number } {
  return {
    ageMs: max_age === 0 ? Number.POSITIVE_INFINITY : max_age / 1e6,
    bytes: max_bytes > 0 ? max_bytes : undefined,
    discard: discard === DiscardPolicy.New ? "new" : "old",
  };
}

function age(ms: number): string {
  return ms === Number.POSITIVE_INFINITY ? "for ever" : `for ${flagDuration(ms)}`;
}

/** As the nats command takes it. */
function flagDuration(ms: number): string {
  for (const [unit, size] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
  ] as const) {
    if (ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms / 1000}s`;
}
