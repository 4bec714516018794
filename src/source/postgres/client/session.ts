// The ordinary connection beside the stream: for the catalog, the slot's state and lag. Connects when it is needed.

import type { Client, ClientConfig, QueryResultRow } from "pg";
import { TransientError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { connectClient, endClient } from "./dial.ts";
import { NO_TRANSACTION_TIMEOUT } from "./display-settings.ts";
import { sqlState, translateError } from "./errors.ts";

const CONNECT_MS = 10_000;
/** How long one statement may take: none of them reads whole tables. */
const STATEMENT_MS = 15_000;
/** An ALTER PUBLICATION that waits for a lock makes the application wait behind it. */
const LOCK_MS = 3_000;

/** What every connection to the source has in common. */
export function clientConfig(source: SourceId, url: string): ClientConfig {
  return {
    connectionString: url,
    application_name: `millrace ${source}`,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  };
}

export class Session implements AsyncDisposable {
  readonly #config: ClientConfig;
  readonly #prepare: string | undefined;
  #client: Client | undefined;
  #closed = false;
  /** One statement at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  /** @param prepare SQL that every connection begins with, `displaySettings` among it */
  constructor(config: ClientConfig, prepare?: string) {
    this.#prepare = prepare;
    this.#config = {
      ...config,
      statement_timeout: STATEMENT_MS,
      lock_timeout: LOCK_MS,
      query_timeout: STATEMENT_MS + CONNECT_MS,
    };
  }

  /** Several statements in one text, without values, are one transaction. @throws translated errors */
  query<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    const answer = this.#turn.then(async () => {
      if (this.#closed) throw closed();
      const client = this.#client ?? (await this.#connect());
      try {
        const result = await (values.length === 0 ? client.query<Row>(text) : client.query<Row>(text, [...values]));
        return result.rows;
      } catch (error) {
        if (sqlState(error) === undefined) await this.#drop(client);
        throw translateError(error);
      }
    });
    this.#turn = answer.catch(() => {}); // the next one does not care how this one ended
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    if (this.#client !== undefined) await this.#drop(this.#client);
  }

  async #drop(client: Client): Promise<void> {
    this.#client = undefined;
    await endClient(client);
  }

  async #connect(): Promise<Client> {
    const client = await connectClient(this.#config);
    if (this.#closed) {
      await endClient(client);
      throw closed();
    }
    try {
      await client.query(this.#prepare ?? NO_TRANSACTION_TIMEOUT);
    } catch (error) {
      await endClient(client);
      throw translateError(error);
    }
    this.#client = client;
    client.once("end", () => {
      if (this.#client === client) this.#client = undefined;
    });
    return client;
  }
}

function closed(): TransientError {
  return new TransientError("SOURCE_CLOSED", "the session was closed");
}

/** Which server and database a session is with, and as whom. */
export interface ServerIdentity {
  /** As `server_version_num`. */
  readonly version: number;
  readonly versionText: string;
  readonly systemId: string;
  readonly database: string;
  /** In which the database keeps texts. */
  readonly encoding: string;
  readonly role: string;
}

/** The first question, which a server of any version answers. @throws ConfigError, TransientError */
export async function identify(session: Session): Promise<ServerIdentity> {
  const [row] = await session.query<{ [Key in keyof ServerIdentity]: ServerIdentity[Key] }>(
    `SELECT current_setting('server_version_num')::int AS version,
       split_part(current_setting('server_version'), ' ', 1) AS "versionText",
       (SELECT system_identifier::text FROM pg_control_system()) AS "systemId",
       current_database() AS database, current_setting('server_encoding') AS encoding, current_user AS role`,
  );
  return row as ServerIdentity;
}
