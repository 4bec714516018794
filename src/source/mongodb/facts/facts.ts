// All that a start and a check go by, read once, in one place. Nothing is judged here, and nothing changed.

import type { MongoClient } from "mongodb";
import { type MillraceError, TransientError } from "../../../errors.ts";
import { ChangeCursor } from "../client/change-cursor.ts";
import { translateError } from "../client/errors.ts";
import type { MongoConfig } from "../options/config.ts";
import { streamSettings } from "../options/stream-settings.ts";
import { type CollectionFacts, readCollections } from "./collection-facts.ts";
import { findOutboxes } from "./outbox-facts.ts";
import { type OplogFacts, readOplog, readServer, type ServerFacts } from "./server-facts.ts";

export interface MongoFacts {
  readonly server: ServerFacts;
  /** Undefined on a server that has no change streams: nothing else is asked there. */
  readonly collections: readonly CollectionFacts[] | undefined;
  /** The databases that have the source's outbox; none of a source without one. */
  readonly outboxes: readonly string[];
  /** Why the server refuses the change stream that would be read. */
  readonly refusal: MillraceError | undefined;
}

/** @throws ConfigError, TransientError */
export async function readFacts(client: MongoClient, config: MongoConfig): Promise<MongoFacts> {
  try {
    const server = await readServer(client);
    if (server.topology === "single" || server.operationTime === undefined) {
      return { server, collections: undefined, outboxes: [], refusal: undefined };
    }
    const refusal = await tryStream(client, config, server);
    if (refusal !== undefined) return { server, refusal, collections: undefined, outboxes: [] };
    const [collections, outboxes] = [await readCollections(client, config), await findOutboxes(client, config)];
    return { server, refusal, collections, outboxes };
  } catch (error) {
    throw translateError(error);
  }
}

/** Undefined behind mongos. @throws ConfigError PERMISSION_MISSING; TransientError */
export async function readLogWindow(client: MongoClient): Promise<OplogFacts | undefined> {
  try {
    return await readOplog(client);
  } catch (error) {
    throw translateError(error);
  }
}

/** Opens the very stream that would be read, at the time of now, and closes it: no list of rights says as much. */
async function tryStream(
  client: MongoClient,
  config: MongoConfig,
  { operationTime }: ServerFacts,
): Promise<MillraceError | undefined> {
  if (operationTime === undefined) return undefined;
  const cursor = new ChangeCursor(client, streamSettings(config));
  try {
    await cursor.open({ history: 0, time: operationTime, ordinal: 0, idle: 0, token: undefined });
    return undefined;
  } catch (thrown) {
    const error = translateError(thrown, true);
    if (error instanceof TransientError) throw error;
    return error;
  } finally {
    await cursor.close();
  }
}
