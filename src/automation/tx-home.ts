// Whether tx() can keep its word: its database must be one that a source captures with its outbox, else emits would vanish.

import { ConfigError, toError } from "../errors.ts";
import type { OutboxOptions } from "../outbox/emit.ts";
import { sqlRunner } from "../outbox/sql-client.ts";
import { OWN_TRANSACTION, rowsOf } from "./inbox.ts";
import type { RunTransaction } from "./transaction.ts";
import { sqlStateOf, unreachable } from "./unavailable.ts";

/** By joins: to_regclass() fails for a role that may not use the schema, and that is one of the things to find out. */
const LOOK = `select current_database() as database, format('%I', current_user) as role, c.oid is not null as inbox,
    has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
      and has_table_privilege(c.oid, 'delete') as allowed,
    exists (select from pg_proc p where p.pronamespace = n.oid and p.proname = 'emit') as emits,
    has_function_privilege('pg_control_system()', 'execute') as may_ask
  from (select) one left join pg_namespace n on n.nspname = 'millrace'
    left join pg_class c on c.relnamespace = n.oid and c.relname = 'inbox'`;
const SYSTEM = "select system_identifier::text as system from pg_control_system()";
const PERMISSION_MISSING = "42501";

/** Each tells the database whose outbox a source captures, `<system identifier>/<database>`. @throws while it is away */
export type OutboxHomes = readonly (() => Promise<string>)[];

interface Seen {
  readonly home: string;
  readonly role: string;
  readonly inbox: boolean;
  readonly allowed: boolean;
  readonly emits: boolean;
}

export class TxHome {
  readonly #transaction: RunTransaction;
  readonly #homes: OutboxHomes;
  #options: OutboxOptions | undefined;

  constructor(transaction: RunTransaction, homes: OutboxHomes) {
    this.#transaction = transaction;
    this.#homes = homes;
  }

  /**
   * Resolves to how events are written there: without `millrace.emit`, which the outbox's SQL makes, as messages.
   * @throws ConfigError `TX_WITHOUT_INBOX`, `TX_WITHOUT_OUTBOX`, `TX_RIGHTS_MISSING`; TransientError while it cannot be found out
   */
  async check(): Promise<OutboxOptions> {
    if (this.#options !== undefined) return this.#options;
    if (this.#homes.length === 0) throw withoutOutbox("no source holds an outbox");
    const { inbox, home, emits, allowed, role } = await this.#look();
    if (!inbox) {
      throw new ConfigError("TX_WITHOUT_INBOX", "the database of tx() has no table millrace.inbox", {
        hint: "run what `millrace sql inbox` prints, as the owner of the database",
      });
    }
    if (!allowed) throw forbidden("its role may not read, insert and delete in millrace.inbox", role);
    await this.#find(home);
    this.#options = emits ? {} : { mode: "message" };
    return this.#options;
  }

  /** One source that is away says nothing against the others. */
  async #find(home: string): Promise<void> {
    const isHome = async (ask: () => Promise<string>): Promise<void> => {
      const other = await ask();
      // Where the role may not ask which server it is, the name alone has to do.
      const same = other === home || (home.startsWith("?/") && other.endsWith(home.slice(1)));
      if (!same) throw withoutOutbox("it is not the database of a source with an outbox");
    };
    try {
      await Promise.any(this.#homes.map(isHome));
    } catch (thrown) {
      const { errors } = thrown as AggregateError;
      throw errors.find((error) => !(error instanceof ConfigError && error.code === "TX_WITHOUT_OUTBOX")) ?? errors[0];
    }
  }

  async #look(): Promise<Seen> {
    try {
      return await this.#transaction(async (client) => {
        const run = sqlRunner(client);
        await run(OWN_TRANSACTION, []);
        const [row] = rowsOf(await run(LOOK, []));
        const [system] = row?.may_ask === true ? rowsOf(await run(SYSTEM, [])) : [];
        const home = `${system?.system ?? "?"}/${row?.database}`;
        const { inbox, allowed, emits } = row ?? {};
        return {
          home,
          role: String(row?.role),
          inbox: inbox === true,
          allowed: allowed === true,
          emits: emits === true,
        };
      });
    } catch (error) {
      const { message } = toError(error);
      if (sqlStateOf(error) === PERMISSION_MISSING) throw forbidden(message);
      throw unreachable(error);
    }
  }
}

function withoutOutbox(why: string): ConfigError {
  return new ConfigError("TX_WITHOUT_OUTBOX", `tx() would emit events that nobody reads: ${why}`, {
    hint: "set `outbox: true` on the source that reads this database, or give tx() the pool of one that has it",
  });
}

/** @param role quoted */
function forbidden(why: string, role = "…"): ConfigError {
  return new ConfigError("TX_RIGHTS_MISSING", `tx() may not do its work: ${why}`, {
    hint: `GRANT USAGE ON SCHEMA millrace TO ${role}; GRANT SELECT, INSERT, DELETE ON millrace.inbox TO ${role};`,
  });
}
