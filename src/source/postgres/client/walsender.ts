// What a replication connection alone answers: which log the server writes, how far, and where it left an earlier one.

import type { Client, ClientConfig } from "pg";
import { connectClient, endClient } from "./dial.ts";
import { formatLsn, parseLsn } from "./lsn.ts";

export interface System {
  readonly systemId: string;
  readonly timeline: number;
  /** The end of what the server has written, as an LSN. */
  readonly end: string;
}

/** Asks on a replication connection of its own. @throws ConfigError, TransientError, and what `ask` throws */
export async function askWalsender<Answer>(
  client: ClientConfig,
  ask: (walsender: Client) => Promise<Answer>,
): Promise<Answer> {
  const walsender = await connectClient({ ...client, replication: "database" } as ClientConfig);
  try {
    return await ask(walsender);
  } finally {
    await endClient(walsender);
  }
}

/** Which log it is. @throws ConfigError, TransientError */
export function readSystem(client: ClientConfig): Promise<System> {
  return askWalsender(client, (walsender) => identifySystem(walsender));
}

/** The same on a replication connection that is there. */
export async function identifySystem(walsender: Client): Promise<System> {
  const { rows } = await walsender.query<{ systemid: string; timeline: number | string; xlogpos: string }>(
    "IDENTIFY_SYSTEM",
  );
  const { systemid, timeline, xlogpos } = rows[0] as (typeof rows)[number];
  return { systemId: systemid, timeline: Number(timeline), end: formatLsn(parseLsn(xlogpos)) }; // from 19 on with zeros
}
