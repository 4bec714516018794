// What `check` says of the rights of the worker's user: every subject that it needs is tried with a message that changes nothing.

import { headers, type NatsConnection } from "@nats-io/transport-node";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import { about, type Finding } from "../../../telemetry/finding.ts";
import { isForbidden } from "../client/bus-errors.ts";

/** A subject that the worker publishes to or asks, and how it is tried. */
interface Need {
  /** As a server's configuration allows it. */
  readonly allow: string;
  /** One subject of it that the worker really uses. */
  readonly tried: string;
  readonly body?: string;
}

const TIMEOUT_MS = 2000;
/** No stream has this name, so that none stores what expects it. */
const NOWHERE = "MILLRACE_CHECK";
const NAME = "millrace-check";
/** No JSON: a request with it does nothing. */
const BROKEN = "{";

/** Requests to JetStream of one kind; the last token is what it is asked of. */
function api(verb: string, name: string, body?: string): Need {
  return { allow: `$JS.API.${verb}.*`, tried: `$JS.API.${verb}.${name}`, ...(body === undefined ? {} : { body }) };
}

/** All that `millrace run` does on the bus; docs/operations/nats.md has it as a server's configuration. */
function needsOf(sources: readonly SourceId[], version: string): readonly Need[] {
  const streams = sources.map((source) => [source, streamName(source)] as const);
  const made = [
    "KV_millrace_leases",
    "KV_millrace_state",
    "MILLRACE_DEAD",
    "MILLRACE_LOG",
    "MILLRACE_RETRY",
    "OBJ_millrace_large",
  ];
  const one = (tried: string, body: string): Need => ({ allow: tried, tried, body });
  return [
    api("STREAM.INFO", "KV_millrace_state"),
    one("$JS.API.STREAM.NAMES", ""),
    ...made.map((name) => api("STREAM.CREATE", name, BROKEN)),
    one("$JS.API.STREAM.UPDATE.OBJ_millrace_large", BROKEN),
    api("STREAM.MSG.GET", "KV_millrace_state"),
    api("STREAM.MSG.GET", "MILLRACE_LOG"),
    one("$JS.API.DIRECT.GET.OBJ_millrace_large", BROKEN),
    // an empty one would purge all
    one("$JS.API.STREAM.PURGE.KV_millrace_state", JSON.stringify({ filter: `$KV.millrace_state.${NAME}` })),
    { allow: "$KV.millrace_state.>", tried: `$KV.millrace_state.${NAME}` },
    { allow: "$KV.millrace_leases.>", tried: `$KV.millrace_leases.${NAME}` },
    { allow: "$KV.millrace_schemas.>", tried: `$KV.millrace_schemas.${NAME}` },
    { allow: "events._system.>", tried: `events._system.${NAME}` },
    { allow: "dead.>", tried: `dead.${NAME}` },
    { allow: "log.>", tried: `log.${NAME}.done` },
    { allow: "retry.>", tried: `retry.${NAME}` },
    { allow: "$O.millrace_large.>", tried: `$O.millrace_large.M.${NAME}` },
    { allow: "$JS.ACK.>", tried: ackSubject(version) },
    ...streams.flatMap(([source, stream]) => [
      { allow: `cdc.${source}.>`, tried: `cdc.${source}._check._check.created.p00` },
      { allow: `events.${source}.>`, tried: `events.${source}._check._check.p00` },
      { allow: `meta.${source}.>`, tried: `meta.${source}.check` },
      api("STREAM.CREATE", stream, BROKEN),
      api("STREAM.MSG.GET", stream),
      {
        allow: "$JS.API.CONSUMER.DURABLE.CREATE.>",
        tried: `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.${NAME}`,
        body: BROKEN,
      },
      api("CONSUMER.LIST", stream),
      ...["INFO", "DELETE", "MSG.NEXT"].map((verb) => ({
        allow: `$JS.API.CONSUMER.${verb}.>`,
        tried: `$JS.API.CONSUMER.${verb}.${stream}.${NAME}`,
      })),
    ]),
  ];
}

/** From 2.15 on an ack names domain and account before the stream. */
function ackSubject(version: string): string {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const account = major > 2 || minor >= 15 ? "_.check." : "";
  return `$JS.ACK.${account}${NOWHERE}.${NAME}.1.1.1.1.0`;
}

export async function permissionFindings(
  nc: NatsConnection,
  sources: readonly SourceId[],
): Promise<readonly Finding[]> {
  const needs = needsOf(sources, nc.info?.version ?? "");
  const denied = await Promise.all(needs.map(async (need) => ((await mayPublish(nc, need)) ? [] : [need.allow])));
  const subjects = [...new Set(denied.flat())];
  const findings = await Promise.all(advisories.map((advisory) => advisoryFinding(nc, advisory, sources)));
  if (subjects.length > 0) {
    findings.push(
      about("nats user").fail(
        "BUS_PERMISSION",
        `it may not publish to ${subjects.join(", ")}`,
        `Let the worker's user publish to ${JSON.stringify(subjects)}; docs/operations/nats.md has all that it needs.`,
      ),
    );
  }
  const wrong = findings.filter((finding) => finding !== undefined);
  const ok = about("nats user").ok("BUS_PERMISSION", "it may do all that is needed");
  return wrong.length > 0 ? wrong : [ok];
}

/** Any answer, and none at all, is fine: only the server's word that it is forbidden is not. */
async function mayPublish(nc: NatsConnection, { tried, body }: Need): Promise<boolean> {
  const expecting = headers();
  expecting.set("Nats-Expected-Stream", NOWHERE);
  try {
    await nc.request(tried, body ?? "", { timeout: TIMEOUT_MS, headers: expecting });
    return true;
  } catch (error) {
    return !isForbidden(error);
  }
}

/** What the server tells the moment it happens, and what it means not to hear it. */
const advisories: readonly { readonly allow: string; readonly rest: string; readonly deaf: string }[] = [
  {
    allow: "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*",
    rest: "",
    deaf: "it learns only every 30 s whether a new leader has lost messages",
  },
  {
    allow: "$JS.EVENT.ADVISORY.CONSUMER.DELETED.>",
    rest: `.${NAME}`,
    deaf: "it learns only every 10 s that somebody deleted a durable",
  },
  {
    allow: "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
    rest: `.${NAME}`,
    deaf: "it does not learn that the server gave up an event where a durable was changed and changed back",
  },
  {
    allow: "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
    rest: `.${NAME}`,
    deaf: "it does not learn that somebody terminated an event of a durable",
  },
];

async function advisoryFinding(
  nc: NatsConnection,
  { allow, rest, deaf }: (typeof advisories)[number],
  sources: readonly SourceId[],
): Promise<Finding | undefined> {
  let denied = false;
  const subscriptions = sources.map((source) =>
    nc.subscribe(`${allow.replace(/[*>]$/, streamName(source))}${rest}`, {
      callback: (error) => {
        denied ||= error !== null;
      },
    }),
  );
  await nc.flush();
  for (const subscription of subscriptions) if (!subscription.isClosed()) subscription.unsubscribe();
  if (!denied) return undefined;
  return about("nats user").warn(
    "BUS_PERMISSION",
    `it may not subscribe to ${allow}: ${deaf}`,
    `Let the worker's user subscribe to ["${allow}"].`,
  );
}
