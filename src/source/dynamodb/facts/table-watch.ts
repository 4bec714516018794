// Looks for tables that come while a source is read, where a pattern may name them.

import type { Clock } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import type { Notice } from "../../source.ts";
import { noticesOf } from "../check/judge.ts";
import type { DynamoApi } from "../client/api.ts";
import type { DynamoConfig } from "../options/config.ts";
import { isExclusion, isName } from "../options/table-pattern.ts";
import { readFacts, readNames } from "./facts.ts";

export interface TableWatchOptions {
  readonly api: DynamoApi;
  readonly config: DynamoConfig;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Tables that are read. */
  readonly read: ReadonlySet<string>;
  readonly onNotices: (notices: readonly Notice[]) => void;
}

const EVERY_MS = 15_000;

/** Resolves with the signal, or where no table can come. @throws TransientError TABLES_CHANGED when one is to be read from now on */
export async function watchTables({ api, config, clock, signal, read, onNotices }: TableWatchOptions): Promise<void> {
  if (config.tables.every((pattern) => isName(pattern) || isExclusion(pattern))) return;
  let known = "";
  for (;;) {
    await clock.sleep(EVERY_MS, signal);
    if (signal.aborted) return;
    const names = (await readNames(api, config)).filter((name) => !read.has(name));
    if (names.join() === known && names.length === 0) continue;
    known = names.join();
    const facts = await readFacts(api, { tables: names, outbox: undefined });
    onNotices(noticesOf(facts));
    const come = facts.tables.find(({ stream, page }) => stream !== undefined && page !== undefined);
    if (come === undefined) continue;
    throw new TransientError("TABLES_CHANGED", `the table ${come.table} has come, and is read from now on`, {
      hint: "Nothing to do: the source starts again with it.",
    });
  }
}
