// Connections to MongoDB, with the settings that all of them have.

import { MongoClient } from "mongodb";
import type { SourceId } from "../../../event/source-id.ts";
import type { MongoConfig } from "../options/config.ts";
import { translateError } from "./errors.ts";

/** How long a server is looked for before it counts as away: behind an election it is tried again. */
const SELECTION_MS = 5_000;
/** Longer than any answer is waited for. */
const SOCKET_MS = 60_000;

/** @throws ConfigError AUTH_FAILED, TransientError SOURCE_UNREACHABLE */
export async function connectMongo(id: SourceId, { url }: Pick<MongoConfig, "url">): Promise<MongoClient> {
  try {
    const client = new MongoClient(url, {
      appName: `millrace ${id}`,
      serverSelectionTimeoutMS: SELECTION_MS,
      socketTimeoutMS: SOCKET_MS,
    });
    try {
      return await client.connect();
    } catch (error) {
      await client.close();
      throw error;
    }
  } catch (error) {
    throw translateError(error);
  }
}
