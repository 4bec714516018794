// Names of partitions: `<table>/<stream label>/<shard id>`, each escaped like a subject's token.

import { createHash } from "node:crypto";
import { BugError } from "../../../errors.ts";
import { escapeToken, unescapeToken } from "../../../event/subject.ts";

/** A shard of one life of a table's stream. */
export interface ShardName {
  readonly table: string;
  /** Of the stream: another one each time that it is enabled. */
  readonly label: string;
  readonly shard: string;
}

export function partitionOf({ table, label, shard }: ShardName): string {
  return [table, label, shard].map(escapeToken).join("/");
}

/** @throws BugError PARTITION_MALFORMED */
export function parsePartition(partition: string): ShardName {
  const [table, label, shard, more] = partition.split("/").map(unescapeToken);
  if (table === undefined || label === undefined || shard === undefined || more !== undefined) {
    throw new BugError("PARTITION_MALFORMED", `${partition} is no partition of a DynamoDB source`);
  }
  return { table, label, shard };
}

/** Sixteen hexadecimal digits of a name. */
export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
