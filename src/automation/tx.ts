// tx() in a handler: inbox entry, effect and emitted events in one transaction, so one effect however often delivered.

import { BugError, ConfigError, TransientError } from "../errors.ts";
import { type Lineage, visitOf } from "../event/lineage.ts";
import { type EventParts, outbox } from "../outbox/emit.ts";
import type { SqlClient } from "../outbox/sql-client.ts";
import { writeLineage } from "../outbox/write-lineage.ts";
import { enterInbox } from "./inbox.ts";
import type { RunTransaction } from "./transaction.ts";
import type { TxHome } from "./tx-home.ts";

/** What the work of a `tx` is given. */
export interface TxContext<Client> {
  /** The transaction: what the pool lends. Nothing else is part of it. */
  readonly client: Client;
  /** Writes a domain event into the same transaction; it is on the bus when that commits. Resolves to its id. */
  emit(type: string, event: EventParts): Promise<string>;
}

/** Runs work in a transaction; see `HandlerContext.tx`. */
export type RunTx<Client> = <Result>(
  work: (context: TxContext<Client>) => Promise<Result>,
) => Promise<Result | undefined>;

/** Where transactions are opened. */
export interface TxDatabase {
  readonly transaction: RunTransaction;
  readonly home: TxHome;
}

/** What is known of the event that is handled. */
export interface Cause {
  readonly id: string;
  /** `ce-source`. */
  readonly source: string;
  /** `ce-subject`. */
  readonly subject: string;
  readonly lineage: Lineage | undefined;
}

/** One attempt's. */
export class Tx {
  /** The inbox has the event: another attempt has had its effect. */
  duplicate = false;
  /** Resolves when it has ended, to its error if it failed; undefined when none was begun. */
  ended: Promise<{ readonly error: unknown } | undefined> | undefined;
  readonly #automation: string;
  readonly #database: TxDatabase | undefined;
  readonly #cause: Cause;

  constructor(automation: string, database: TxDatabase | undefined, cause: Cause) {
    this.#automation = automation;
    this.#database = database;
    this.#cause = cause;
  }

  /**
   * Resolves to what the work resolves to; to undefined, without running it, when the event had its effect before.
   * @param signal aborted: what was not committed yet is rolled back
   * @throws ConfigError `TX_WITHOUT_DATABASE`; what the work and the database throw
   */
  run<Client, Result>(
    work: (context: TxContext<Client>) => Promise<Result>,
    signal: AbortSignal,
  ): Promise<Result | undefined> {
    const running = this.ended === undefined ? this.#run(work, signal) : this.#twice();
    const before = this.ended;
    this.ended = running.then(
      () => undefined,
      (error: unknown) => before?.then((failed) => failed ?? { error }) ?? { error },
    );
    return running;
  }

  async #twice(): Promise<never> {
    throw new BugError(
      "TX_TWICE",
      `${this.#automation}: tx() was called twice for one event; a second one would be a duplicate`,
    );
  }

  async #run<Client, Result>(
    work: (context: TxContext<Client>) => Promise<Result>,
    signal: AbortSignal,
  ): Promise<Result | undefined> {
    const automation = this.#automation;
    if (this.#database === undefined) {
      throw new ConfigError("TX_WITHOUT_DATABASE", `${automation}: tx() has no database to open a transaction on`, {
        hint: "give the pool as `db` of the automation, or of `defaults` in the configuration",
      });
    }
    const options = await this.#database.home.check();
    return await this.#database.transaction(async (client: SqlClient) => {
      if (!(await enterInbox(client, automation, this.#cause.id))) {
        this.duplicate = true;
        return undefined;
      }
      // Before the work: what is written before it carries no lineage.
      await writeLineage(client, lineageBehind(this.#cause, automation));
      const { emit } = outbox(client, options);
      const result = await work({ client: client as Client, emit });
      if (signal.aborted) {
        throw new TransientError("TX_TOO_LATE", `${automation}: the attempt had timed out before the commit`, {
          hint: "what it did is rolled back; give the automation a longer timeout",
        });
      }
      return result;
    });
  }
}

function lineageBehind({ id, source, subject, lineage }: Cause, automation: string): Lineage {
  return {
    correlationId: lineage?.correlationId ?? id,
    causationId: id,
    hops: (lineage?.hops ?? 0) + 1,
    automation,
    trail: [...(lineage?.trail ?? []), visitOf(automation, source, subject)],
  };
}
