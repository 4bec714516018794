// `millrace check` of the bus: goes through all preconditions with the worker's own user, and changes nothing.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import type { Retention } from "../../../event/retention.ts";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import type { BusAccess } from "../client/access.ts";
import { apiCodes } from "../client/api-codes.ts";
import { busError, isApiError } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import type { Connection } from "../client/connection.ts";
import { namesOf, readUnfitStreams } from "../client/shared-streams-check.ts";
import { unfitError, unfitSettings } from "../client/stream-fitness.ts";
import { findStream, needsOf, refuseTakenSubjects } from "../client/streams.ts";
import type { Fsync } from "../lease/horizon.ts";
import { accountFindings, fsyncFinding, replicasFinding, type ServerStore, streamFindings } from "./check-findings.ts";
import { permissionFindings } from "./check-permissions.ts";

export interface CheckBusOptions extends BusAccess {
  readonly replicas: number;
  readonly fsync: Fsync;
  readonly retention?: Retention;
  readonly sources: readonly SourceId[];
  readonly signal: AbortSignal;
  /** Where the server's own HTTP port is; by default 8222 of the same host. */
  readonly monitor?: string;
}

const MONITOR_MS = 1000;

/** What is wrong is a finding, not an error. */
export async function* checkBus(options: CheckBusOptions): AsyncGenerator<Finding> {
  let connection: Connection;
  try {
    connection = await connectOnce(options, options.signal);
  } catch (error) {
    yield findingOf(busError(error, "connect to NATS"), "nats-server");
    return;
  }
  try {
    yield* findings(options, connection);
  } catch (error) {
    yield findingOf(busError(error, "ask JetStream"), "jetstream");
  } finally {
    await connection[Symbol.asyncDispose]();
  }
}

async function* findings(options: CheckBusOptions, connection: Connection): AsyncGenerator<Finding> {
  const { info } = connection.nc;
  const version = `nats-server ${info?.version}`;
  yield about("nats-server").ok("BUS_TOO_OLD", `${version} has atomic batches`);
  yield about("nats-server").ok("JETSTREAM_OFF", "JetStream is on for this account");
  const permissions = await permissionFindings(connection.nc, options.sources);
  yield* permissions;
  if (permissions.some(({ level }) => level === "fail")) return; // what it may not ask cannot be told
  const jsm = await jetstreamManager(connection.nc, { checkAPI: false });
  const streams = await Promise.all(options.sources.map((source) => findStream(jsm, source)));
  const missing = streams.filter((stream) => stream === undefined).length;
  const toMake = {
    now: missing + (await countMissing(jsm, namesOf("start"))),
    later: await countMissing(jsm, namesOf("later")),
  };
  const server = await readServer(options, connection);
  yield accountFindings(await jsm.getAccountInfo(), toMake, server);
  yield replicasFinding(options.replicas, info?.cluster);
  yield fsyncFinding(options.fsync, server?.fsync);
  for (const [nth, source] of options.sources.entries()) {
    const stream = streams[nth];
    if (stream === undefined) yield await newStreamFinding(jsm, source);
    else yield* streamFindings(stream, options, unfitSettings(stream.config, needsOf(source, info?.max_payload)));
  }
  for (const { name, unfit } of await readUnfitStreams(jsm))
    yield* unfit.map((setting) => findingOf(unfitError(name, setting), `stream ${name}`));
}

async function countMissing({ streams }: JetStreamManager, names: readonly string[]): Promise<number> {
  const there = names.map((name) => streams.info(name).then(() => true, absent));
  return (await Promise.all(there)).filter((found) => !found).length;
}

function absent(error: unknown): boolean {
  if (isApiError(error, apiCodes.streamNotFound)) return false;
  throw error;
}

async function newStreamFinding(jsm: JetStreamManager, source: SourceId): Promise<Finding> {
  const subject = `stream ${streamName(source)}`;
  try {
    await refuseTakenSubjects(jsm, source);
  } catch (error) {
    return findingOf(error, subject);
  }
  return about(subject).ok("BUS_STREAM", "the worker makes it at its first start");
}

/** What the server's HTTP port says of its JetStream; undefined where that cannot be asked, or is another server's. */
async function readServer({ servers, monitor }: CheckBusOptions, { nc }: Connection): Promise<ServerStore | undefined> {
  const host = /^(?:\w+:\/\/)?(?:[^@]*@)?(\[[^\]]+\]|[^:/]+)/.exec(servers[0] ?? "")?.[1];
  try {
    const response = await fetch(`${monitor ?? `http://${host}:8222`}/jsz?config=true`, {
      signal: AbortSignal.timeout(MONITOR_MS),
    });
    const { server_id, config, storage } = (await response.json()) as {
      readonly server_id?: string;
      readonly config?: {
        readonly sync_interval?: number;
        readonly sync_always?: boolean;
        readonly max_storage?: number;
      };
      readonly storage?: number;
    };
    if (server_id !== nc.info?.server_id || config === undefined) return undefined;
    const everyMs = config.sync_interval === undefined ? undefined : config.sync_interval / 1e6;
    return {
      fsync: config.sync_always === true ? "always" : everyMs,
      bytes: storage ?? 0,
      maxBytes: config.max_storage ?? Number.POSITIVE_INFINITY,
    };
  } catch {
    return undefined; // no such port, or not for us: the finding says so
  }
}
