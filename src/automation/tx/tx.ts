// tx() in a handler: inbox entry, effect and emitted events in one transaction, so one effect however often delivered.

import { BugError, ConfigError, TransientError, toError } from "../../errors.ts";
import { type Lineage, visitOf } from "../../event/lineage.ts";
import { outbox } from "../../outbox/emit.ts";
import type { EventParts } from "../../outbox/entry.ts";
import { type SqlClient, sqlRunner } from "../../outbox/sql-client.ts";
import { writeLineage } from "../../outbox/write-lineage.ts";
import type { Shadow } from "../outcome/shadow.ts";
import { sqlStateOf, type TxPhase, txFailure, unreachable } from "../outcome/unavailable.ts";
import { enterInbox, type InboxKey, leaveInbox } from "./inbox.ts";
import type { Silence } from "./silence.ts";
import { aborted, type RunTransaction } from "./transaction.ts";
import { controlError, endedInside } from "./transaction-control.ts";
import type { TxHome } from "./tx-home.ts";

/** As long as a database may take for what is not the handler's own work, before it counts as away. */
export const SILENT_MS = 5000;
/** An earlier statement of the transaction has failed. */
const IN_FAILED_TRANSACTION = "25P02";
/** What a commit would check, where nothing is committed. */
const CHECK_CONSTRAINTS = "set constraints all immediate";

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
  readonly home: Pick<TxHome, "check">;
  readonly silence: Silence;
  /** The key that lineage is sealed with. @throws TransientError while it cannot be had */
  readonly lineageKey?: (() => Promise<string>) | undefined;
}

/** What is known of the event that is handled. */
export interface Cause {
  readonly id: string;
  readonly inbox: InboxKey;
  /** `ce-source`. */
  readonly source: string;
  /** `ce-subject`. */
  readonly subject: string;
  readonly lineage: Lineage | undefined;
  /** Of the handler's trace, which the transaction shall continue. */
  readonly traceparent?: string | undefined;
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
  readonly #shadow: Shadow | undefined;
  #phase: TxPhase = "entering";
  #answered: ((answered: boolean) => void) | undefined;

  /** @param shadow where it is given, all is rolled back at the end, and noted there */
  constructor(automation: string, database: TxDatabase | undefined, cause: Cause, shadow?: Shadow) {
    this.#shadow = shadow;
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

  /** What an attempt that timed out failed by, where the database let it wait; else undefined. */
  get waitedFor(): TransientError | undefined {
    const waits = this.#answered !== undefined;
    return waits || (this.#database?.silence.ms() ?? 0) > SILENT_MS
      ? unreachable("it has not answered before the handler's timeout")
      : undefined;
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
    const { silence, lineageKey } = this.#database;
    // Before the database is waited for: it is the bus that is asked.
    const key = await lineageKey?.().catch((error: unknown) => {
      throw error instanceof BugError ? error : withoutKey(automation, error);
    });
    this.#answered = silence.wait();
    const late = tooLate(automation);
    let thrown: unknown;
    const transaction = this.#inTransaction(this.#database, key, signal, async (context) => {
      this.#answer(true);
      this.#phase = "working";
      try {
        return await work(context as TxContext<Client>);
      } catch (error) {
        thrown = error;
        throw error;
      } finally {
        this.#phase = "committing";
        this.#answered = silence.wait();
      }
    });
    try {
      const result = await Promise.race([transaction, this.#givenUp(signal, late)]);
      this.#answer(true);
      return result;
    } catch (error) {
      this.#answer(sqlStateOf(error) !== undefined || error === thrown);
      if (signal.aborted) throw late;
      const own = thrown !== undefined;
      const told = own && sqlStateOf(thrown) !== undefined ? thrown : error;
      throw controlError(error) ?? txFailure(told, own ? "working" : this.#phase, error !== thrown);
    }
  }

  async #inTransaction<Result>(
    { home, transaction }: TxDatabase,
    key: string | undefined,
    signal: AbortSignal,
    work: (context: TxContext<SqlClient>) => Promise<Result>,
  ): Promise<Result | undefined> {
    const options = await home.check();
    const shadow = this.#shadow;
    let rolledBack: { readonly result: Result } | undefined;
    const run = transaction(async (client: SqlClient) => {
      const entered = await enterInbox(client, this.#automation, this.#cause.inbox);
      if (entered === undefined) {
        this.duplicate = true;
        return undefined;
      }
      // Before the work: what is written before it carries no lineage.
      const seal = key === undefined ? undefined : { key, transaction: entered.xid };
      await writeLineage(client, lineageBehind(this.#cause, this.#automation), seal);
      if (signal.aborted) throw tooLate(this.#automation); // nobody waits for it any more
      const { emit } = outbox(client, options);
      let open = true;
      const emitOpen: typeof emit = async (type, event) => {
        if (!open) throw emitTooLate(this.#automation);
        const id = await emit(type, event);
        shadow?.note({ kind: "emit", type });
        return id;
      };
      const result = await work({ client, emit: emitOpen })
        .catch(async (error: unknown) => {
          // What it did before may be committed by now.
          const now = await leaveInbox(client, entered).catch(() => entered.xid);
          throw now === entered.xid ? error : endedInside();
        })
        .finally(() => {
          open = false;
        });
      const last = await leaveInbox(client, entered).catch((error: unknown) => {
        throw sqlStateOf(error) === IN_FAILED_TRANSACTION ? aborted(error) : error;
      });
      if (last !== entered.xid) throw endedInside();
      if (signal.aborted) throw tooLate(this.#automation);
      if (shadow === undefined) return result;
      await sqlRunner(client)(CHECK_CONSTRAINTS, []);
      rolledBack = { result };
      throw rolledBack;
    }, signal);
    return await run.catch((error: unknown) => {
      // Killed at any place up to here, nothing of it is committed: there is no commit.
      if (rolledBack === undefined || error !== rolledBack) throw error;
      shadow?.note({ kind: "tx" });
      return rolledBack.result;
    });
  }

  #answer(answered: boolean): void {
    this.#answered?.(answered);
    this.#answered = undefined;
  }

  /** Rejects at the signal where the database is waited for; a handler's own work is waited for to its end. */
  #givenUp(signal: AbortSignal, late: Error): Promise<never> {
    return new Promise((_, reject) => {
      const check = (): void => {
        if (this.#phase !== "working") reject(late);
      };
      if (signal.aborted) check();
      else signal.addEventListener("abort", check, { once: true });
    });
  }
}

function withoutKey(automation: string, cause: unknown): TransientError {
  return new TransientError(
    "TX_BUS_UNREACHABLE",
    `${automation}: tx() cannot read from the bus the key that it seals its lineage with: ${toError(cause).message}`,
    { hint: "see that nats-server runs and can be reached; the automation goes on by itself", cause },
  );
}

function tooLate(automation: string): TransientError {
  return new TransientError("TX_TOO_LATE", `${automation}: the attempt had timed out before the commit`, {
    hint: "what it did is rolled back; give the automation a longer timeout",
  });
}

function emitTooLate(automation: string): BugError {
  return new BugError("TX_EMIT_TOO_LATE", `${automation}: emit() was called after the work of its tx() had ended`, {
    hint: "await it inside of the work: behind it, it would be part of another event's transaction",
  });
}

/** What the changes say that this automation causes by handling the event. */
export function lineageBehind(
  { id, source, subject, lineage, traceparent }: Omit<Cause, "inbox">,
  automation: string,
): Lineage {
  return {
    correlationId: lineage?.correlationId ?? id,
    causationId: id,
    hops: (lineage?.hops ?? 0) + 1,
    automation,
    trail: [...(lineage?.trail ?? []), visitOf(automation, source, subject)],
    traceparent,
  };
}
