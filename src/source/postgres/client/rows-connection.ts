// A connection that reads rows for long, and prints them as events have them.

import type { Client, ClientConfig } from "pg";
import { connectClient, endClient } from "./dial.ts";
import { displaySettings } from "./display-settings.ts";
import { translateError } from "./errors.ts";
import { cutWhenSilent } from "./silence.ts";

/** How much longer than a statement may take a server that is there needs to say so. */
const ANSWER_MS = 30_000;

export interface RowsSettings {
  /** How long a statement may wait for a lock, and how long it may take. */
  readonly lockMs: number;
  readonly statementMs: number;
  /** SQL that the session begins with, beside that. */
  readonly settings?: string;
}

/**
 * The server ends a statement that takes too long; where not even that is heard of it, the connection is cut (`cutWhenSilent`).
 * @throws ConfigError, TransientError
 */
export async function connectForRows(
  config: ClientConfig,
  { lockMs, statementMs, settings = "" }: RowsSettings,
): Promise<Client> {
  const client = await connectClient(config);
  try {
    cutWhenSilent(client, statementMs + ANSWER_MS);
    await client.query(
      `${displaySettings}; SET lock_timeout = ${lockMs}; SET statement_timeout = ${statementMs}; ${settings}`,
    );
    return client;
  } catch (error) {
    await endClient(client);
    throw translateError(error);
  }
}
