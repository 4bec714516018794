// `millrace check` of a DynamoDB source: what must hold, and what is at risk. It changes nothing.

import type { Clock } from "../../../clock.ts";
import { ConfigError } from "../../../errors.ts";
import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import type { CheckContext } from "../../connector.ts";
import type { DynamoApi } from "../client/api.ts";
import { translateError } from "../client/errors.ts";
import type { ReadTable } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";
import { checkHome, readRecord, type SourceRecord } from "../stream-record.ts";
import { tryAccess } from "./check-access.ts";
import { placeFindings } from "./check-place.ts";
import { replicaFindings } from "./check-replicas.ts";
import { enableStream, lackingImages, noticesOf, problemsOf } from "./judge.ts";
import { outboxFindings } from "./outbox.ts";

export async function* checkDynamo(
  api: DynamoApi,
  config: DynamoConfig,
  { saved, stored, others, signal }: CheckContext<DynamoConfig>,
  clock: Clock,
): AsyncGenerator<Finding> {
  try {
    const { facts, findings, refused } = await tryAccess(api, config);
    yield* findings;
    const problems = problemsOf(facts, config);
    for (const { subject, error } of problems) yield findingOf(error, subject);
    const failed = new Set(problems.map(({ subject }) => subject));
    const { tables } = facts;
    const message = `${tables.length} ${tables.length === 1 ? "is" : "are"} read now`;
    if (problems.length === 0 && !refused) yield about("tables").ok("TABLE_NOT_FOUND", message);
    for (const { code, message, hint, table } of noticesOf(facts, config))
      if (!failed.has(`table ${table}`)) yield about(`table ${table}`).warn(code, message, hint);
    for (const { table, view } of lackingImages(facts).filter((one) => !failed.has(`table ${one.table}`)))
      yield about(`table ${table}`).warn(
        "IMAGES_LEFT_OUT",
        `its stream is ${view}: events lack ${view === "KEYS_ONLY" ? "before and after" : view === "NEW_IMAGE" ? "before" : "after"}`,
        "A stream keeps its view type: switch it off and on again with NEW_AND_OLD_IMAGES, which leaves a gap.",
      );
    for (const { table } of tables.filter(({ enabled, page }) => !enabled && page !== undefined))
      yield about(`table ${table}`).warn(
        "STREAM_DISABLED",
        "its stream is switched off: what that holds can be read for a day, and what is written by now is in none",
        `${enableStream(table)}, which is another stream, behind a gap.`,
      );
    const expiries = await readExpiries(api, tables);
    const outbox = tables.find(({ table }) => table === config.outbox?.table);
    if (outbox !== undefined && !failed.has(`table ${outbox.table}`))
      yield* outboxFindings(config, outbox, expiries.get(outbox.table));
    for (const [table, attribute] of expiries) {
      if (attribute === undefined || attribute === "unknown" || table === outbox?.table) continue;
      const message = `items expire by ${attribute}: their deletes come with "reason":"ttl", some time after that`;
      yield about(`table ${table}`).ok("TTL", message);
    }
    yield* replicaFindings(tables, config, others);
    const record = saved === "unknown" ? undefined : readRecord(saved);
    if (record === undefined || refused) return;
    const other = await otherHome(api, record, tables);
    if (other !== undefined) yield other;
    else yield* await placeFindings({ api, clock, config, record, stored, signal });
  } catch (error) {
    yield findingOf(translateError(error), "endpoint");
  }
}

/**
 * The attribute by which each table's items expire; "unknown" where it may not be asked, for a worker needs no right to that.
 * @throws TransientError
 */
async function readExpiries(
  api: DynamoApi,
  tables: readonly ReadTable[],
): Promise<ReadonlyMap<string, string | undefined | "unknown">> {
  const expiries = new Map<string, string | undefined | "unknown">();
  for (const { table, page } of tables) {
    if (page === undefined) continue;
    const expiry = await api.expiry(table).catch((error: unknown) => {
      if (translateError(error) instanceof ConfigError) return "unknown" as const;
      throw error;
    });
    expiries.set(table, expiry);
  }
  return expiries;
}

async function otherHome(
  api: DynamoApi,
  record: SourceRecord,
  tables: readonly ReadTable[],
): Promise<Finding | undefined> {
  try {
    await checkHome(api, record, tables);
    return undefined;
  } catch (error) {
    return findingOf(translateError(error), "tables");
  }
}
