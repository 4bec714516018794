// The databases that handlers open their transactions on: checked at the start, and their inboxes kept small.

import type { Bus } from "../../bus/bus.ts";
import { type Clock, within } from "../../clock.ts";
import { ConfigError, toError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { owned } from "../../telemetry/stray.ts";
import type { Automation } from "../define/automation.ts";
import type { Trigger, TriggerConfig } from "../define/trigger.ts";
import { errorFields, summarizeError } from "../outcome/error-summary.ts";
import { pruneInbox } from "../tx/inbox.ts";
import { Silence } from "../tx/silence.ts";
import { type Database, transactionsOf } from "../tx/transaction.ts";
import type { TxDatabase } from "../tx/tx.ts";
import { type OutboxHomes, TxHome } from "../tx/tx-home.ts";

const CHECK_MS = 10_000;
const PRUNE_EVERY_MS = 10 * 60_000;
/** How long a stream that is not there keeps events: as it will be made, should it be made again, where the configuration does not say. */
const MADE_TO_KEEP_MS = 7 * 86_400_000;
/** Beyond what can still be delivered: clocks differ. */
const PRUNE_SLACK_MS = 3_600_000;

export interface TxDatabasesOptions extends TriggerConfig {
  readonly automations: readonly Automation[];
  /** The database of automations without a `db` of their own. */
  readonly fallback: Database | undefined;
  readonly homes: OutboxHomes;
  readonly clock: Clock;
  /** How long a stream that is made from now on keeps an event; Infinity: for ever. */
  readonly madeToKeepMs?: number | undefined;
  /** The key that lineage is sealed with; without one nobody believes it. @throws TransientError while it cannot be had */
  readonly lineageKey?: () => Promise<string>;
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
      const home = new TxHome(transaction, options.homes);
      this.#databases.set(db, {
        transaction,
        home,
        silence: new Silence(options.clock),
        lineageKey: options.lineageKey,
      });
    }
  }

  /** Undefined for an automation without one. */
  of({ db = this.#options.fallback }: Automation): TxDatabase | undefined {
    return db === undefined ? undefined : this.#databases.get(db);
  }

  /** One that is away is asked again at the first `tx`. @throws ConfigError `TX_WITHOUT_INBOX`, `TX_WITHOUT_OUTBOX` */
  async check(log: Logger): Promise<void> {
    const { clock } = this.#options;
    const checks = await Promise.allSettled(
      [...this.#databases.values()].map(({ home }) =>
        within(
          clock,
          CHECK_MS,
          tolerant(log, () => home.check()),
        ),
      ),
    );
    for (const check of checks)
      if (check.status === "rejected" && check.reason instanceof ConfigError) throw check.reason;
  }

  /** Deletes inbox entries of events that can no longer come, every ten minutes until the signal. Never rejects. */
  async pruneRegularly(bus: Pick<Bus, "keepsForMs">, log: Logger, signal: AbortSignal): Promise<void> {
    while (this.#databases.size > 0 && !signal.aborted) {
      await this.#options.clock.sleep(PRUNE_EVERY_MS, signal);
      if (!signal.aborted) await this.prune(bus, log);
    }
  }

  /** The same once: what is older than any stream keeps an event, and the longest retry on top. Never rejects. */
  async prune(bus: Pick<Bus, "keepsForMs">, log: Logger): Promise<void> {
    const { madeToKeepMs = MADE_TO_KEEP_MS } = this.#options;
    const automations = this.#options.automations.filter((automation) => this.of(automation) !== undefined);
    const longestRetryMs = Math.max(0, ...automations.map(({ retry }) => retry.maxAgeMs));
    const triggers = automations.flatMap((automation) => automation.triggers);
    const sources = [...filtersBySource(triggers, this.#options).keys()];
    try {
      const kept = await Promise.all(sources.map((source) => bus.keepsForMs(source)));
      const keptMs = Math.max(0, ...kept.map((ms) => ms ?? madeToKeepMs));
      if (keptMs === Number.POSITIVE_INFINITY) return; // any event may come again for ever
      const prunes = [...this.#databases.values()].map(async ({ transaction }) => {
        const keepMs = keptMs + longestRetryMs + PRUNE_SLACK_MS;
        const entries = await tolerant(log, () => pruneInbox(transaction, keepMs));
        if (entries > 0) log.debug("inbox_pruned", { entries });
      });
      const failed = (await Promise.allSettled(prunes)).find(({ status }) => status === "rejected");
      if (failed?.status === "rejected") throw failed.reason;
    } catch (error) {
      log.warn("inbox_prune_failed", {}, `${toError(error).message}; it is tried again in ten minutes`);
    }
  }
}

/** What a driver throws where nobody can catch it, on a connection that was opened here, ends no process. */
function tolerant<Result>(log: Logger, work: () => Result): Result {
  return owned((thrown) => log.error("tx_database_uncaught", errorFields(summarizeError(thrown), "name")), work);
}

/**
 * The filters of all triggers by the source whose stream they are about, each once, and none that another one covers: a server
 * refuses a durable whose filters overlap, and no others do. Sources in the order that the triggers name them.
 */
export function filtersBySource(
  triggers: readonly Trigger[],
  config: TriggerConfig,
): ReadonlyMap<SourceId, readonly string[]> {
  const filters = new Map<SourceId, Set<string>>();
  for (const { source, filter } of triggers.flatMap((trigger) => trigger.subscriptions(config))) {
    filters.set(source, (filters.get(source) ?? new Set()).add(filter));
  }
  return new Map(
    [...filters].map(([source, of]) => [
      source,
      [...of].filter((one) => ![...of].some((other) => other !== one && covers(other, one))),
    ]),
  );
}

/** Whether all subjects of the second are of the first: `events._in.code.*.*` covers `events._in.code.push.*`. */
function covers(wide: string, narrow: string): boolean {
  const [of, tokens] = [wide.split("."), narrow.split(".")];
  return of.length === tokens.length && of.every((token, nth) => token === "*" || token === tokens[nth]);
}
