// Whether a source may start, by its facts: refused for what `millrace check` fails for, in its words and order. Pure.

import { about, type Finding } from "../../../telemetry/finding.ts";
import type { ServerIdentity } from "../client/session.ts";
import type { AllFacts, OwnFacts } from "../facts/facts.ts";
import type { PostgresConfig } from "../options/config.ts";
import type { SlotRecord } from "../slot/slot-record.ts";
import { failoverFindings } from "./check-failover.ts";
import { outboxFindings } from "./check-outbox.ts";
import { partitionFindings } from "./check-partitions.ts";
import { publicationFindings, publishesAny } from "./check-publication.ts";
import { reselectFindings } from "./check-reselect.ts";
import { serverFindings, versionFinding } from "./check-server.ts";
import { type MatchedTables, matchesNothing, matchTables, withoutIdentity } from "./match-tables.ts";
import { refuse } from "./refuse.ts";

export interface Judged {
  readonly matched: MatchedTables;
  /** What a start says and goes on with. */
  readonly warnings: readonly Finding[];
}

/** @param record what the source has on record @throws ConfigError */
export function judgeAll(
  identity: ServerIdentity,
  facts: AllFacts | undefined,
  config: PostgresConfig,
  record: SlotRecord | undefined,
): void {
  refuse([versionFinding(identity)]);
  if (facts === undefined) return;
  const { server, slots, slot, names, reselect, outbox } = facts;
  refuse(serverFindings(server, slot));
  refuse(failoverFindings(server, slots, names.slot));
  const { matched } = judgeOwn(facts, config, record);
  const read = new Set(matched.tables.map(({ oid }) => oid));
  refuse(reselect.filter(({ oid }) => read.has(oid)).flatMap(reselectFindings));
  refuse(outboxFindings(config, outbox));
}

/**
 * What is gone, and must not be made anew in silence, is told later: see provide-slot.ts.
 * @param record what the source has on record
 * @throws ConfigError
 */
export function judgeOwn(
  { version, names, slot, found, publication }: OwnFacts,
  config: PostgresConfig,
  record: SlotRecord | undefined,
): Judged {
  const started = record?.stage === "created";
  const anyIdentity = publishesAny(publication);
  const matched = matchTables(found, config, anyIdentity, started);
  // At a first start nothing is left out in silence. Later a table that somebody made must not stop all others.
  if (matched.anonymous.length > 0 && !started) throw withoutIdentity(matched.anonymous);
  const partitions = anyIdentity ? [] : found.tables.flatMap(partitionFindings);
  if (!started) refuse(partitions);
  // One that the worker may change, it mends by itself: what breaks the application's writes is taken out of it.
  if ((publication.exists || slot === undefined) && !publication.mayMake) {
    refuse(publicationFindings(publication, found.tables, { version, slotExists: false, slot: names.slot }));
  }
  const gone = matched.gone
    .map(matchesNothing)
    .map(({ code, message, hint }) => about("tables").warn(code, message, hint));
  return { matched, warnings: [...gone, ...partitions] };
}
