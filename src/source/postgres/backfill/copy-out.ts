// COPY ... TO STDOUT on the driver's own connection: rows come as the server writes them, one message each, and no object is made
// of their values.

import type { Client, Connection, Submittable } from "pg";
import { toError } from "../../../errors.ts";

/** What the driver asks of a query. It has no public type, but is what its own query classes, and packages beside it, are. */
interface DriverQuery extends Submittable {
  handleCopyData(message: { readonly chunk: Buffer }): void;
  handleCommandComplete(): void;
  handleReadyForQuery(): void;
  handleError(error: Error): void;
}

/**
 * Runs the query and hands out each row as it comes: a line of COPY's text format, with its end. The bytes are the callee's to read
 * and to write until it returns, and nobody's behind that.
 * @throws what the server says, or the callee: then what is left of the rows is not handed out any more
 */
export function copyOut(client: Client, select: string, onRow: (line: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined;
    const query: DriverQuery = {
      submit: (connection: Connection) => connection.query(`COPY (${select}) TO STDOUT`),
      handleCopyData: ({ chunk }) => {
        if (failure !== undefined) return;
        try {
          onRow(chunk);
        } catch (thrown) {
          failure = toError(thrown); // within the socket's event: it must not throw
        }
      },
      handleCommandComplete: () => {},
      handleReadyForQuery: () => (failure === undefined ? resolve() : reject(failure)),
      handleError: reject,
    };
    client.query(query);
  });
}
