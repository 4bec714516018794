// `millrace check` of a DynamoDB source: what must hold, and what is at risk. It changes nothing.

import { ConfigError } from "../../../errors.ts";
import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import type { CheckContext } from "../../source.ts";
import type { DynamoApi } from "../client/api.ts";
import { translateError } from "../client/errors.ts";
import { readFacts } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";
import { checkHome, readRecord } from "../stream-record.ts";
import { lackingImages, noticesOf, problemsOf } from "./judge.ts";
import { outboxFindings } from "./outbox.ts";

export async function* checkDynamo(
  api: DynamoApi,
  config: DynamoConfig,
  { saved }: Pick<CheckContext<DynamoConfig>, "saved">,
): AsyncGenerator<Finding> {
  try {
    const facts = await readFacts(api, config);
    const problems = problemsOf(facts, config);
    for (const { subject, error } of problems) yield findingOf(error, subject);
    const failed = new Set(problems.map(({ subject }) => subject));
    const { tables } = facts;
    const message = `${tables.length} ${tables.length === 1 ? "is" : "are"} read now`;
    if (problems.length === 0) yield about("tables").ok("TABLE_NOT_FOUND", message);
    for (const { code, message, hint } of noticesOf(facts))
      if (failed.size === 0) yield about("tables").warn(code, message, hint);
    for (const { table, view } of lackingImages(facts).filter((one) => !failed.has(`table ${one.table}`)))
      yield about(`table ${table}`).warn(
        "IMAGES_LEFT_OUT",
        `its stream is ${view}: events lack ${view === "KEYS_ONLY" ? "before and after" : view === "NEW_IMAGE" ? "before" : "after"}`,
        "A stream keeps its view type: switch it off and on again with NEW_AND_OLD_IMAGES, which leaves a gap.",
      );
    const outbox = tables.find(({ table }) => table === config.outbox?.table);
    if (outbox !== undefined && !failed.has(`table ${outbox.table}`))
      yield* outboxFindings(config, outbox, await expiryOf(api, outbox.table));
    const record = saved === "unknown" ? undefined : readRecord(saved);
    if (record !== undefined) {
      try {
        await checkHome(api, record, tables);
      } catch (error) {
        yield findingOf(translateError(error), "tables");
      }
    }
  } catch (error) {
    yield findingOf(translateError(error), "endpoint");
  }
}

/** The attribute by which a table's items expire; "unknown" where it may not be asked. */
async function expiryOf(api: DynamoApi, table: string): Promise<string | undefined | "unknown"> {
  try {
    return await api.expiry(table);
  } catch (error) {
    if (translateError(error) instanceof ConfigError) return "unknown";
    throw error;
  }
}
