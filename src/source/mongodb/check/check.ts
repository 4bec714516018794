// `millrace check` of a MongoDB source: what must hold, and what is at risk. It changes nothing.

import { type MillraceError, TransientError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import { onlyPosition, type Positions } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import { bytes, duration } from "../../../telemetry/quantities.ts";
import type { CheckContext } from "../../connector.ts";
import { connectMongo } from "../client/connect.ts";
import { translateError } from "../client/errors.ts";
import { isEarlier, parsePosition, readThrough } from "../client/position.ts";
import { readFacts, readLogWindow } from "../facts/facts.ts";
import { outboxExpires } from "../facts/outbox-facts.ts";
import { FULL_SHARE, type OplogFacts, type ServerFacts } from "../facts/server-facts.ts";
import type { MongoConfig } from "../options/config.ts";
import { checkCluster, readRecord } from "../record/stream-record.ts";
import { lackingImages, problemsOf } from "./judge.ts";
import { outboxFinding } from "./outbox.ts";

/** A window under which a long weekend's outage loses events. */
const SHORT_WINDOW_SECONDS = 24 * 3600;
const RETAIN = "In mongosh: db.adminCommand({ replSetResizeOplog: 1, minRetentionHours: 48 }) // on each member";

export async function* checkMongo(
  id: SourceId,
  config: MongoConfig,
  { saved, stored }: Pick<CheckContext<MongoConfig>, "saved" | "stored">,
): AsyncGenerator<Finding> {
  let client: Awaited<ReturnType<typeof connectMongo>>;
  try {
    client = await connectMongo(id, config);
  } catch (error) {
    yield findingOf(error, "url");
    return;
  }
  try {
    const facts = await readFacts(client, config);
    const problems = problemsOf(facts, config);
    for (const { subject, error } of problems) yield findingOf(error, subject);
    const { server, collections } = facts;
    if (problems.some(({ subject }) => subject === "server")) return;
    yield about("server").ok("SERVER_VERSION", `MongoDB ${server.version}, ${topologyOf(server)}`);
    const record = saved === "unknown" ? undefined : readRecord(saved);
    const other = record && otherCluster(() => checkCluster(record, server, config));
    if (other !== undefined) yield findingOf(other, "server");
    if (server.clusterId === undefined) yield hiddenCluster();
    if (facts.refusal === undefined) yield about("change stream").ok("CHANGE_STREAM", "it can be opened");
    if (collections !== undefined) {
      const message = `${collections.length} ${collections.length === 1 ? "is" : "are"} read now`;
      yield about("collections").ok("COLLECTION_NOT_FOUND", message);
      const failed = new Set(problems.map(({ subject }) => subject));
      for (const { subject, message, fix } of lackingImages(config, collections))
        if (!failed.has(subject)) yield about(subject).warn("IMAGES_NOT_STORED", message, fix);
    }
    if (config.outbox !== undefined) {
      const { collection } = config.outbox;
      for (const database of facts.outboxes)
        yield outboxFinding(database, collection, await outboxExpires(client, database, collection));
    }
    if (server.topology === "replicaSet") yield* await windowFindings(() => readLogWindow(client), stored);
  } catch (error) {
    yield findingOf(translateError(error), "server");
  } finally {
    await client.close();
  }
}

function hiddenCluster(): Finding {
  return about("server").warn(
    "CLUSTER_HIDDEN",
    "which cluster this is may not be asked: another one that comes to stand behind the url, under the same replica set's name, may be taken for it",
    "Give the user the role that `millrace sql role` prints: replSetGetConfig, and find on config.version.",
  );
}

function topologyOf({ topology, setName }: ServerFacts): string {
  return topology === "sharded" ? "a sharded cluster" : `the replica set ${setName}`;
}

function otherCluster(check: () => void): MillraceError | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return error as MillraceError;
  }
}

async function windowFindings(
  read: () => Promise<OplogFacts | undefined>,
  stored: Positions | undefined,
): Promise<readonly Finding[]> {
  const { ok, warn } = about("oplog");
  try {
    const oplog = await read();
    if (oplog === undefined) return [ok("OPLOG_WINDOW", "it is empty")];
    return [windowFinding(oplog), ...placeFinding(oplog, onlyPosition(stored))];
  } catch (error) {
    if (error instanceof TransientError) throw error;
    return [
      warn(
        "OPLOG_HIDDEN",
        "the user may not read local.oplog.rs: how far the oplog reaches back, and how near the source is to its end, is not known",
        'In mongosh, on admin: db.grantRolesToUser("<user>", [{ role: "read", db: "local" }])',
      ),
    ];
  }
}

function windowFinding({ oldest, newest, share, maxBytes }: OplogFacts): Finding {
  const { ok, warn } = about("oplog");
  const seconds = newest.t - oldest.t;
  const size = maxBytes === undefined ? "" : ` in ${bytes(maxBytes)}`;
  const reaches = `it reaches back ${duration(seconds)}${size}`;
  if (share !== undefined && share < FULL_SHARE) return ok("OPLOG_WINDOW", `${reaches}, and is not full yet`);
  if (seconds >= SHORT_WINDOW_SECONDS) return ok("OPLOG_WINDOW", reaches);
  return warn(
    "OPLOG_WINDOW",
    `${reaches}: a worker that is away for longer loses events${share === undefined ? " (a young oplog still grows)" : ""}`,
    RETAIN,
  );
}

/** Whether the oplog still holds what comes next for a source that was read before. */
function placeFinding({ oldest, newest }: OplogFacts, position: Position | undefined): readonly Finding[] {
  const time = position && readThrough(parsePosition(position));
  if (time === undefined) return [];
  const { ok, fail } = about("place in the oplog");
  if (!isEarlier(time, oldest)) {
    const behind = duration(Math.max(0, newest.t - time.t));
    return [ok("OPLOG_LOST", `the stream is ${behind} behind it, and ${duration(time.t - oldest.t)} are left`)];
  }
  return [
    fail(
      "OPLOG_LOST",
      `the oplog begins ${duration(oldest.t - time.t)} behind what the stream has: what was written between is lost`,
      `millrace run --adopt begins anew from now and records the gap: docs/operations/oplog-lost.md. ${RETAIN}`,
    ),
  ];
}
