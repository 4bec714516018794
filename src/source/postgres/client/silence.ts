// A server of which nothing is heard any more while it is asked for something: a machine that is gone, or a firewall that forgot the
// connection, send no end of it, and the system's own keep-alive may take two hours.

import type { Socket } from "node:net";
import type { Client } from "pg";
import { TransientError } from "../../../errors.ts";

/** The driver's, as far as it is used here; they have no public type. */
interface Wire {
  readonly connection: { readonly stream: Socket };
  /** Whether nothing is asked for. */
  readonly readyForQuery?: boolean | null;
}

/**
 * From now on the connection is cut, and what waits for an answer rejects (TransientError SOURCE_UNREACHABLE), when no byte came or
 * went for so long while a statement ran. An idle one may be silent.
 * @param silentMs longer than any statement of it may take
 */
export function cutWhenSilent(client: Client, silentMs: number): void {
  const wire = client as unknown as Wire;
  const { stream } = wire.connection;
  stream.setTimeout(silentMs);
  stream.on("timeout", () => {
    if (wire.readyForQuery === true) return;
    const what = `nothing was heard of the server for ${Math.round(silentMs / 1000)} s while it was asked for rows`;
    stream.destroy(
      new TransientError("SOURCE_UNREACHABLE", what, {
        hint: "See that the database runs, and that no firewall or proxy in between forgets connections; it is tried again by itself.",
      }),
    );
  });
}
