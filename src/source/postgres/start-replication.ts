// Sends START_REPLICATION, in the encoding that the log's texts are to come in.

import { once } from "node:events";
import { type Client, Query } from "pg";
import { formatLsn } from "./client/lsn.ts";
import { quoteIdentifier } from "./client/sql.ts";
import type { ServerText } from "./decode/encoding/server-text.ts";
import type { WireConnection } from "./replication/replication-service.ts";

export interface StreamStart {
  readonly slot: string;
  readonly publication: string;
  readonly start: bigint;
  /** Undefined where they come as UTF-8. */
  readonly text: ServerText | undefined;
}

const QUERY = 0x51;

/** Resolves when the stream has ended. @throws what the server says */
export async function startReplication(client: Client, { slot, publication, start, text }: StreamStart): Promise<void> {
  const names = quoteIdentifier(publication).replaceAll("'", "''");
  const statement = `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL ${formatLsn(start)} (proto_version '1', publication_names '${names}', messages 'true')`;
  if (text === undefined) {
    await client.query(statement);
    return;
  }
  await client.query(`SET client_encoding = '${text.encoding}'`);
  const query = new Query(statement);
  // The driver sends UTF-8 alone, and the server reads the publication's name in the session's encoding.
  query.submit = (connection) => {
    const { stream } = connection as unknown as WireConnection;
    const header = Buffer.from([QUERY, 0, 0, 0, 0]);
    const body = Buffer.concat([text.encode(statement), Buffer.alloc(1)]);
    header.writeUInt32BE(header.length - 1 + body.length, 1);
    stream.write(Buffer.concat([header, body]));
  };
  await once(client.query(query), "end");
}
