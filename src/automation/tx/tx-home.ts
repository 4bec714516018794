// Whether tx() can keep its word: its database must be one that a source captures with its outbox, else emits would vanish.

import { ConfigError, toError } from "../../errors.ts";
import type { OutboxOptions } from "../../outbox/emit.ts";
import { sqlRunner } from "../../outbox/sql-client.ts";
import { sqlStateOf, unreachable } from "../outcome/unavailable.ts";
import { OWN_TRANSACTION, rowsOf } from "./inbox.ts";
import type { RunTransaction } from "./transaction.ts";

/** In a transaction of its own. By joins: to_regclass() fails for a role that may not use the schema, and that is one of the things to find out. */
const LOOK = `select current_database() as database, format('%I', current_user) as role, c.oid is not null as inbox,
    has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
      and has_table_privilege(c.oid, 'delete') as allowed,
    exists (select from pg_proc p where p.pronamespace = n.oid and p.proname = 'emit') as emits,
    current_setting('millrace.outbox', true) as mode,
    array(select format('GRANT EXECUTE ON FUNCTION pg_catalog.%s(%s) TO %I', p.proname,
        pg_get_function_identity_arguments(p.oid), current_user)
      from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = 'pg_logical_emit_message'
        and p.proargtypes[2] = 'bytea'::regtype and not has_function_privilege(p.oid, 'execute')) as lacking,
    has_function_privilege('pg_control_system()', 'execute') as may_ask
  from (select) one left join pg_namespace n on n.nspname = 'millrace'
    left join pg_class c on c.relnamespace = n.oid and c.relname = 'inbox'`;
const SYSTEM = "select system_identifier::text as system from pg_control_system()";
const PERMISSION_MISSING = "42501";

/** Where a source captures an outbox, and what it reads of it. */
interface OutboxHome {
  /** `<system identifier>/<database>`. */
  readonly database: string;
  /** Whether events that are written as messages are read, and not only rows. */
  readonly messages: boolean;
}

/** What asks each source with an outbox where that is. @throws while it is away */
export type OutboxHomes = readonly (() => Promise<OutboxHome>)[];

interface Seen {
  readonly home: string;
  readonly role: string;
  readonly inbox: boolean;
  readonly allowed: boolean;
  /** How `emit` writes there: by `millrace.emit` rows or messages, without it messages. */
  readonly emits: boolean;
  readonly messages: boolean;
  /** GRANT statements. */
  readonly lacking: readonly string[];
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
    const seen = await this.#look();
    const { inbox, emits, allowed, lacking, role } = seen;
    if (!inbox) {
      throw new ConfigError("TX_WITHOUT_INBOX", "the database of tx() has no table millrace.inbox", {
        hint: "run what `millrace sql inbox` prints, as the owner of the database",
      });
    }
    if (!allowed) throw forbidden("its role may not read, insert and delete in millrace.inbox", role);
    if (lacking.length > 0) throw mute(lacking);
    await this.#find(seen);
    this.#options = emits ? {} : { mode: "message" };
    return this.#options;
  }

  /** One source that is away says nothing against the others. */
  async #find({ home, emits, messages }: Seen): Promise<void> {
    const elsewhere = withoutOutbox("it is not the database of a source with an outbox");
    const fits = async (ask: () => Promise<OutboxHome>): Promise<void> => {
      const other = await ask();
      // Where the role may not ask which server it is, the name alone has to do.
      const same = other.database === home || (home.startsWith("?/") && other.database.endsWith(home.slice(1)));
      if (!same) throw elsewhere;
      if (messages && !other.messages) throw unread(emits);
    };
    try {
      await Promise.any(this.#homes.map(fits));
    } catch (thrown) {
      const { errors } = thrown as AggregateError;
      const away = errors.find((error) => !(error instanceof ConfigError && error.code === "TX_WITHOUT_OUTBOX"));
      throw away ?? errors.find((error) => error !== elsewhere) ?? elsewhere;
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
        const { inbox, allowed, emits, mode, lacking } = row ?? {};
        return {
          home,
          role: String(row?.role),
          inbox: inbox === true,
          allowed: allowed === true,
          emits: emits === true,
          messages: emits !== true || mode === "message",
          lacking: (lacking as readonly string[] | undefined) ?? [],
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

function unread(emits: boolean): ConfigError {
  const why = emits ? "as millrace.outbox is set" : "without millrace.emit";
  return new ConfigError("TX_WITHOUT_OUTBOX", `tx() would emit messages (${why}), and its source reads only rows`, {
    hint: 'run what `millrace sql outbox` prints for that source, or set its option `outbox: { mode: "message" }`',
  });
}

/** @param grants statements */
function mute(grants: readonly string[]): ConfigError {
  return new ConfigError("TX_RIGHTS_MISSING", "tx() may not write the message that says what caused its transaction", {
    hint: grants.map((grant) => `${grant};`).join(" "),
  });
}

/** @param role quoted */
function forbidden(why: string, role = "<role>"): ConfigError {
  return new ConfigError("TX_RIGHTS_MISSING", `tx() may not do its work: ${why}`, {
    hint: `GRANT USAGE ON SCHEMA millrace TO ${role}; GRANT SELECT, INSERT, DELETE ON millrace.inbox TO ${role};`,
  });
}
