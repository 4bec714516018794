// How far the oplog reaches back, where it may be read, and whether it drops old entries by now.

import type { MongoClient } from "mongodb";
import { ConfigError } from "../../../errors.ts";
import { translateError } from "../client/errors.ts";
import { type ClusterTime, isEarlier } from "../client/position.ts";
import { FULL_SHARE, type OplogFacts, readOplog } from "../facts/server-facts.ts";

/** Undefined where it may not be read, as `check` says, and behind mongos. @throws what the driver throws */
export async function readOplogIfAllowed(client: MongoClient): Promise<OplogFacts | undefined> {
  try {
    return await readOplog(client);
  } catch (thrown) {
    const error = translateError(thrown);
    if (error instanceof ConfigError && error.code === "PERMISSION_MISSING") return undefined;
    throw error;
  }
}

/** Whether it is full, and drops old entries: how far one reaches back that still grows says nothing. */
export class DropWatch {
  #first: ClusterTime | undefined;

  drops({ oldest, share }: OplogFacts): boolean {
    this.#first ??= oldest;
    return share === undefined ? isEarlier(this.#first, oldest) : share >= FULL_SHARE;
  }
}
