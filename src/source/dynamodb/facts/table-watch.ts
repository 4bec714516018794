// Looks for tables, and streams of tables, that come while a source is read.

import type { Clock } from "../../../clock.ts";
import { ConfigError, TransientError } from "../../../errors.ts";
import type { Notice } from "../../source.ts";
import { noticesOf } from "../check/judge.ts";
import type { DynamoApi } from "../client/api.ts";
import { isExclusion, isName } from "../options/table-pattern.ts";
import { type ReadTable, readFacts, readNames, type WantedTables } from "./facts.ts";

export interface TableWatchOptions {
  readonly api: DynamoApi;
  readonly config: WantedTables & Parameters<typeof noticesOf>[1];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Whether a table is read. */
  readonly reads: (table: string) => boolean;
  /** These have a stream by now; resolves when they are read. */
  readonly onCome: (tables: readonly ReadTable[]) => Promise<void>;
  readonly onNotices: (notices: readonly Notice[]) => void;
}

/** For names that are new; a table that has no stream is asked for one less often. */
const EVERY_MS = 15_000;
const STREAM_EVERY_MS = 60_000;
/** The server answers ten questions for tags a second. */
const TAGS_EVERY_MS = 300_000;

/** Resolves with the signal, or where nothing can come. @throws what `onCome` throws */
export async function watchTables(options: TableWatchOptions): Promise<void> {
  const { config, clock, signal, reads } = options;
  const { tables, outbox } = config;
  const isFixed =
    tables.every((pattern) => isExclusion(pattern) || (isName(pattern) && reads(pattern))) &&
    (outbox === undefined || reads(outbox.table));
  let known = "";
  let askAt = clock.now();
  while (!isFixed) {
    await clock.sleep(EVERY_MS, signal);
    if (signal.aborted) return;
    const found = await look(options, (names) => names !== known || clock.now() >= askAt);
    if (found === undefined || signal.aborted) continue;
    known = found.names;
    askAt = clock.now() + (config.tags === undefined ? STREAM_EVERY_MS : TAGS_EVERY_MS);
    if (found.come.length > 0) await options.onCome(found.come);
  }
}

interface Look {
  /** Of tables that are not read. */
  readonly names: string;
  readonly come: readonly ReadTable[];
}

/** Undefined where nothing is to be told. That it cannot look is no reason to stop what is read. */
async function look(
  { api, config, reads, onNotices }: TableWatchOptions,
  isWorthIt: (names: string) => boolean,
): Promise<Look | undefined> {
  try {
    const names = (await readNames(api, config)).filter((name) => !reads(name));
    if (!isWorthIt(names.join())) return undefined;
    const facts = await readFacts(api, config, names);
    onNotices(noticesOf(facts, config));
    const come = facts.tables.filter(({ stream, page }) => stream !== undefined && page !== undefined);
    return { names: names.join(), come };
  } catch (error) {
    if (error instanceof ConfigError) onNotices([{ code: error.code, message: error.message, hint: error.hint }]);
    else if (!(error instanceof TransientError)) throw error;
    return undefined;
  }
}
