// What a stream must be like, whoever made or edited it: every setting that a promise rests on, with the command that mends it.

import { RetentionPolicy, StorageType, type StreamConfig, type StreamInfo } from "@nats-io/jetstream";
import { ConfigError } from "../../../errors.ts";

/** One setting that cannot serve. */
export interface Unfit {
  readonly code: "STREAM_NOT_ATOMIC" | "STREAM_SEALED" | "STREAM_UNFIT";
  /** What the stream does wrong: "discards what consumers have acked (retention interest)". */
  readonly what: string;
  readonly fix: string;
}

export interface Needs {
  /** What it must capture. */
  readonly subjects: readonly string[];
  /** Whether atomic batches are stored in it. */
  readonly atomic?: boolean;
  /** Whether its messages may have an age of their own. */
  readonly ttl?: boolean;
  /** Whether its messages are read by direct get. */
  readonly direct?: boolean;
  /** Whether it keeps a message until it is acked, and no longer. */
  readonly workqueue?: boolean;
  /** A bucket keeps one message a subject, and that for ever; one of leases may forget. */
  readonly bucket?: "kept" | "leases";
  /** The server's limit of a message in bytes: what it takes the stream must take. */
  readonly maxPayload?: number | undefined;
}

/** All that is wrong with it; nothing where it can serve. */
export function unfitSettings(config: StreamConfig, needs: Needs): readonly Unfit[] {
  const { name } = config;
  const anew = `nats stream rm ${name}, after a backup if it holds anything: the worker makes it again`;
  const edit = (flags: string): string => `nats stream edit ${name} ${flags}`;
  const unfit: Unfit[] = [];
  const add = (wrong: boolean, what: string, fix: string, code: Unfit["code"] = "STREAM_UNFIT"): void => {
    if (wrong) unfit.push({ code, what, fix });
  };
  const atomic = `${edit("--allow-batch")}, or remove the stream to have it made again`;
  add(
    needs.atomic === true && config.allow_atomic !== true,
    "does not allow atomic batches",
    atomic,
    "STREAM_NOT_ATOMIC",
  );
  const noAges = needs.ttl === true && config.allow_msg_ttl !== true;
  add(noAges, "does not let a message have an age of its own", edit("--allow-msg-ttl"));
  add(config.sealed === true, "is sealed", anew, "STREAM_SEALED");
  add(config.mirror !== undefined, `mirrors ${config.mirror?.name}: nothing can be published to it`, anew);
  const others = (config.sources ?? []).map((source) => source.name).join(", ");
  add(
    others !== "",
    `takes in the messages of other streams (${others})`,
    `${edit("--interactive")}, and take out sources`,
  );
  const workqueue = config.retention === RetentionPolicy.Workqueue;
  if (needs.workqueue === true) {
    add(!workqueue, `keeps what was acked, or drops what nobody asked for yet (retention ${config.retention})`, anew);
    const forgets = `forgets what has waited for ${config.max_age / 1e9} s`;
    add(config.max_age > 0, forgets, edit("--max-age=0"));
  } else {
    add(
      config.retention !== RetentionPolicy.Limits,
      `drops what its consumers have acked (retention ${config.retention})`,
      workqueue ? anew : edit("--retention limits"),
    );
  }
  const memory = config.storage !== StorageType.File && needs.bucket !== "leases";
  add(memory, "keeps its messages in memory: a restart loses them", anew);
  const missing = needs.subjects.filter((subject) => !(config.subjects ?? []).some((one) => covers(one, subject)));
  const all = [...new Set([...(config.subjects ?? []), ...missing])].join(",");
  const lacks = config.mirror === undefined && missing.length > 0;
  add(lacks, `does not capture ${missing.join(", ")}`, edit(`--subjects "${all}"`));
  const perSubject = config.max_msgs_per_subject > 0 && needs.bucket === undefined;
  const keeps = `keeps no more than ${config.max_msgs_per_subject} messages a subject`;
  add(perSubject, keeps, edit("--max-msgs-per-subject=-1"));
  const expires = `forgets its entries after ${config.max_age / 1e9} s`;
  add(needs.bucket === "kept" && config.max_age > 0, expires, edit("--max-age=0"));
  add(config.no_ack === true, "acknowledges nothing", edit("--ack"));
  const { max_msg_size: size } = config;
  add(size > 0 && size < (needs.maxPayload ?? 0), `takes no message above ${size} bytes`, edit("--max-msg-size=-1"));
  add(
    config.subject_transform !== undefined,
    "changes the subjects of what it stores",
    `${edit("--interactive")}, and take out subject_transform`,
  );
  const { persist_mode: mode, allow_msg_counter: counter } = config as {
    persist_mode?: string;
    allow_msg_counter?: boolean;
  };
  add(mode === "async", "acknowledges what it has not written (persist_mode async)", anew);
  add(counter === true, "is a counter: it takes no other messages", anew);
  const inactive = config.consumer_limits?.inactive_threshold ?? 0;
  const deletes = `deletes consumers that nobody reads for ${inactive / 1e9} s`;
  add(inactive > 0, deletes, `${edit("--interactive")}, and take out inactive_threshold`);
  const noDirect = needs.direct === true && config.allow_direct !== true;
  add(noDirect, "does not answer direct gets", edit("--allow-direct"));
  return unfit;
}

/** @throws ConfigError STREAM_NOT_ATOMIC, STREAM_SEALED, STREAM_UNFIT, the first of what is wrong */
export function refuseUnfit({ config }: Pick<StreamInfo, "config">, needs: Needs): void {
  const [first] = unfitSettings(config, needs);
  if (first !== undefined) throw unfitError(config.name, first);
}

export function unfitError(stream: string, { code, what, fix }: Unfit): ConfigError {
  const message = `the stream ${stream} ${what}`;
  if (code === "STREAM_NOT_ATOMIC") return new ConfigError("STREAM_NOT_ATOMIC", message, { hint: fix });
  if (code === "STREAM_SEALED") return new ConfigError("STREAM_SEALED", message, { hint: fix });
  return new ConfigError("STREAM_UNFIT", message, { hint: fix });
}

/** Whether all subjects of `narrow` are among those of `wide`. */
export function covers(wide: string, narrow: string): boolean {
  const [a, b] = [wide.split("."), narrow.split(".")];
  for (const [nth, token] of a.entries()) {
    if (token === ">") return b.length > nth;
    const other = b[nth];
    if (other === undefined || other === ">" || (token !== "*" && token !== other)) return false;
  }
  return a.length === b.length;
}
