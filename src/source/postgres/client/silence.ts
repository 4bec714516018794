// A server of which nothing is heard any more while it is asked for something: a machine that is gone, or a firewall that forgot the
// connection, send no end of it, and the system's own keep-alive may take two hours.

import type { Client } from "pg";
import { TransientError } from "../../../errors.ts";
import { wire } from "./dial.ts";

/**
 * From now on the connection is cut, and what waits for an answer rejects (TransientError SOURCE_UNREACHABLE), when no byte came or
 * went for so long while a statement ran. An idle one may be silent.
 * @param silentMs longer than any statement of it may take
 */
export function cutWhenSilent(client: Client, silentMs: number): void {
  const { stream } = wire(client);
  stream.setTimeout(silentMs);
  stream.on("timeout", () => {
    const { readyForQuery } = client as Client & { readonly readyForQuery?: boolean | null };
    if (readyForQuery === true) return; // nothing is asked for
    const what = `nothing was heard of the server for ${Math.round(silentMs / 1000)} s while it was asked for rows`;
    stream.destroy(
      new TransientError("SOURCE_UNREACHABLE", what, {
        hint: "See that the database runs, and that no firewall or proxy in between forgets connections; it is tried again by itself.",
      }),
    );
  });
}
