// What the worker's policy must allow, tried action by action with the worker's own credentials; and what there is of its tables.

import { MillraceError } from "../../../errors.ts";
import { about, type Finding } from "../../../telemetry/finding.ts";
import type { DynamoApi } from "../client/api.ts";
import { ServerError, translateError } from "../client/errors.ts";
import { type DynamoFacts, isTagged, type ReadTable, readNames } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";
import { isExclusion, isName } from "../options/table-pattern.ts";

export interface Access {
  readonly facts: DynamoFacts;
  readonly findings: readonly Finding[];
  /** Whether anything was refused: then what else is asked would be too. */
  readonly refused: boolean;
}

type Refused = "refused";
type Tried =
  | "ListTables"
  | "DescribeTable"
  | "ListTagsOfResource"
  | "ListStreams"
  | "DescribeStream"
  | "GetShardIterator"
  | "GetRecords";

/** What is done to tables; all else is done to their streams. */
const ofTables: ReadonlySet<Tried> = new Set(["ListTables", "DescribeTable", "ListTagsOfResource", "ListStreams"]);
const FIX = "Give the worker the policy that `millrace sql role` prints.";

/** @throws what says nothing of one table alone, such as wrong credentials; TransientError */
export async function tryAccess(api: DynamoApi, config: DynamoConfig): Promise<Access> {
  const denied = new Map<Tried, string[]>();
  const throttled: string[] = [];
  /** Undefined where it is not there. What a refusal is to be told by is kept. */
  const attempt = async <T>(action: Tried, what: string, asked: Promise<T>): Promise<T | Refused | undefined> => {
    try {
      return await asked;
    } catch (thrown) {
      if (thrown instanceof ServerError && thrown.refusal === "unknown") return undefined;
      const error = thrown instanceof MillraceError ? thrown : translateError(thrown);
      if (error.code === "SOURCE_THROTTLED") throttled.push(what);
      else if (error.code === "PERMISSION_MISSING") denied.set(action, [...(denied.get(action) ?? []), what]);
      else throw error;
      return "refused";
    }
  };
  const named = { ...config, tables: config.tables.filter((pattern) => isName(pattern) || isExclusion(pattern)) };
  const listed = (await attempt("ListTables", "the account's tables", readNames(api, config))) ?? "refused";
  const names = listed === "refused" ? await readNames(api, named) : listed;
  const tables: ReadTable[] = [];
  const missing: string[] = [];
  const untagged: string[] = [];
  const [first] = names;
  // It takes no resource: what holds for one table holds for all.
  if (first !== undefined) await attempt("ListStreams", first, api.listStreams(first, undefined));
  for (const name of names) {
    const facts = await attempt("DescribeTable", name, api.describeTable(name));
    if (facts === undefined) missing.push(name);
    if (facts === undefined || facts === "refused") continue;
    const tagged = await attempt("ListTagsOfResource", name, isTagged(api, config, facts));
    if (tagged === false) untagged.push(name);
    if (tagged !== true) continue;
    const { stream } = facts;
    const page = stream && (await attempt("DescribeStream", name, api.describeStream(stream.arn, {})));
    if (page === "refused") continue; // what may not be asked is not what is not there
    tables.push({ ...facts, page });
    const [shard] = page?.shards ?? [];
    if (stream === undefined || shard === undefined) continue;
    const iterator = await attempt("GetShardIterator", name, api.iterator(stream.arn, shard.id, { at: "horizon" }));
    if (iterator === undefined || iterator === "refused") continue;
    await attempt("GetRecords", name, api.records(iterator, 1));
  }
  const findings = [...denied].map(([action, on]) => deniedFinding(action, on));
  if (throttled.length > 0) findings.push(throttledFinding(throttled));
  if (findings.length === 0 && tables.some(({ page }) => page !== undefined))
    findings.push(about("rights").ok("PERMISSION_MISSING", "the worker may do what it must, on each table and stream"));
  return { facts: { tables, missing, untagged }, findings, refused: denied.size > 0 || throttled.length > 0 };
}

function deniedFinding(action: Tried, on: readonly string[]): Finding {
  const place = ofTables.has(action) ? "" : "the stream of ";
  return about(`action dynamodb:${action}`).fail(
    "PERMISSION_MISSING",
    `the worker may not do it on ${place}${namesIn(on)}`,
    FIX,
  );
}

function throttledFinding(on: readonly string[]): Finding {
  return about("streams").warn(
    "SOURCE_THROTTLED",
    `requests for ${namesIn([...new Set(on)])} were put off again and again`,
    "Does something else read the same streams? No more than two readers of a shard are served: Lambda counts, and each source of the same table.",
  );
}

function namesIn(names: readonly string[]): string {
  const [some, more] = [names.slice(0, 3).join(", "), names.length - 3];
  return more > 0 ? `${some} and ${more} more` : some;
}
