// What the work of a tx() runs its statements on when the test gives nothing else: it notes them, and answers no rows.

import { ConfigError } from "../errors.ts";
import type { Statement } from "./result.ts";

/** What the work of a `tx` is given: what the test has, or what notes statements. */
export type HandlersClient = object | "recording";

/** One transaction's. */
export class RecordingClient {
  readonly statements: Statement[] = [];
  readonly client: object;

  constructor(automation: string) {
    const query = async (text: string, values: readonly unknown[] = []): Promise<object> => {
      this.statements.push({ text, values });
      return { rows: [], rowCount: 0 };
    };
    this.client = new Proxy(
      { query },
      {
        get: (target, name) => {
          if (name === "query") return target.query;
          if (typeof name === "symbol" || name === "then" || name === "toJSON") return undefined;
          throw new ConfigError(
            "TESTING_CLIENT",
            `${automation}: the work of tx() uses ${name} of its client, and the kit's own client has query() alone`,
            {
              hint: "give the test a client of your own that answers it, given(events, { client }), or a database, given(events, { db })",
            },
          );
        },
      },
    );
  }
}
