// The databases that handlers open their transactions on: checked at the start, and their inboxes kept small.

import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, toError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Automation } from "./automation.ts";
import { pruneInbox } from "./inbox.ts";
import { type Database, transactionsOf } from "./transaction.ts";
import type { TxDatabase } from "./tx.ts";
import { type OutboxHomes, TxHome } from "./tx-home.ts";

const CHECK_MS = 10_000;
const PRUNE_EVERY_MS = 10 * 60_000;
/** Beyond what can still be delivered: clocks differ. */
const PRUNE_SLACK_MS = 3_600_000;

export interface TxDatabasesOptions {
  readonly automations: readonly Automation[];
  /** Of automations without a `db` of their own. */
  readonly fallback: Database | undefined;
  readonly homes: OutboxHomes;
}

export class TxDatabases {
  readonly #options: TxDatabasesOptions;
  readonly #databases = new Map<Database, TxDatabase>();

  /** @throws ConfigError `TX_DATABASE_UNKNOWN` */
  constructor(options: TxDatabasesOptions) {
    this.#options = options;
    for (const { db = options.fallback } of options.automations) {
      if (db === undefined || this.#databases.has(db)) continue;
      const transaction = transactionsOf(db);
      this.#databases.set(db, { transaction, home: new TxHome(transaction, options.homes) });
    }
  }

  /** Undefined for an automation without one. */
  of({ db = this.#options.fallback }: Automation): TxDatabase | undefined {
    return db === undefined ? undefined : this.#databases.get(db);
  }

  /** One that is away is asked again at the first `tx`. @throws ConfigError `TX_WITHOUT_INBOX`, `TX_WITHOUT_OUTBOX` */
  async check(): Promise<void> {
    const late = sleep(CHECK_MS, undefined, { ref: false });
    const checks = await Promise.allSettled(
      [...this.#databases.values()].map(({ home }) => Promise.race([home.check(), late])),
    );
    for (const check of checks)
      if (check.status === "rejected" && check.reason instanceof ConfigError) throw check.reason;
  }

  /**
   * Deletes inbox entries of events that can no longer come, every ten minutes until the signal. Never rejects.
   * @param retentionMs how long the bus keeps an event; the longest retry comes on top
   */
  async prune({
    retentionMs,
    log,
    signal,
    everyMs = PRUNE_EVERY_MS,
  }: {
    readonly retentionMs: number;
    readonly log: Logger;
    readonly signal: AbortSignal;
    readonly everyMs?: number;
  }): Promise<void> {
    const longestRetryMs = Math.max(0, ...this.#options.automations.map(({ retry }) => retry.maxAgeMs));
    while (this.#databases.size > 0 && !signal.aborted) {
      await sleep(everyMs, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      for (const { transaction } of this.#databases.values()) {
        try {
          const entries = await pruneInbox(transaction, retentionMs + longestRetryMs + PRUNE_SLACK_MS);
          if (entries > 0) log.debug("inbox_pruned", { entries });
        } catch (error) {
          log.warn("inbox_prune_failed", {}, `${toError(error).message}; it is tried again in ten minutes`);
        }
      }
    }
  }
}
