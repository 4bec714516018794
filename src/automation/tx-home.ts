// Whether tx() can keep its word: its database must be one that a source captures with its outbox, else emits would vanish.

import { ConfigError, TransientError, toError } from "../errors.ts";
import { sqlRunner } from "../outbox/sql-client.ts";
import { rowsOf } from "./inbox.ts";
import type { RunTransaction } from "./transaction.ts";

const LOOK = `select current_database() as database, to_regclass('millrace.inbox') is not null as inbox,
  has_function_privilege('pg_control_system()', 'execute') as may_ask`;
const SYSTEM = "select system_identifier::text as system from pg_control_system()";

/** The databases whose outbox a source captures, as `<system identifier>/<database>`. @throws TransientError while one is away */
export type OutboxHomes = () => Promise<readonly string[]>;

export class TxHome {
  readonly #transaction: RunTransaction;
  readonly #homes: OutboxHomes;
  #fine = false;

  constructor(transaction: RunTransaction, homes: OutboxHomes) {
    this.#transaction = transaction;
    this.#homes = homes;
  }

  /** @throws ConfigError `TX_WITHOUT_INBOX`, `TX_WITHOUT_OUTBOX`; TransientError while it cannot be found out */
  async check(): Promise<void> {
    if (this.#fine) return;
    const homes = await this.#homes();
    if (homes.length === 0) throw withoutOutbox("no source holds an outbox");
    const { inbox, home } = await this.#look();
    if (!inbox) {
      throw new ConfigError("TX_WITHOUT_INBOX", "the database of tx() has no table millrace.inbox", {
        hint: "run what `millrace sql inbox` prints, as the owner of the database",
      });
    }
    // Where the role may not ask which server it is, the name alone has to do.
    const same = (other: string): boolean => other === home || (home.startsWith("?/") && other.endsWith(home.slice(1)));
    if (!homes.some(same)) throw withoutOutbox("it is not the database of a source with an outbox");
    this.#fine = true;
  }

  async #look(): Promise<{ readonly inbox: boolean; readonly home: string }> {
    try {
      return await this.#transaction(async (client) => {
        const run = sqlRunner(client);
        const [row] = rowsOf(await run(LOOK, []));
        const [system] = row?.may_ask === true ? rowsOf(await run(SYSTEM, [])) : [];
        return { inbox: row?.inbox === true, home: `${system?.system ?? "?"}/${row?.database}` };
      });
    } catch (error) {
      throw new TransientError("TX_UNREACHABLE", `the database of tx() cannot be asked: ${toError(error).message}`, {
        hint: "see that it runs and that `db` leads to it; it is asked again at the next tx()",
        cause: error,
      });
    }
  }
}

function withoutOutbox(why: string): ConfigError {
  return new ConfigError("TX_WITHOUT_OUTBOX", `tx() would emit events that nobody reads: ${why}`, {
    hint: "set `outbox: true` on the source that reads this database, or give tx() the pool of one that has it",
  });
}
