// The tables of a source as types are made from. DynamoDB holds items to their key attributes alone: all else may be anything.

import { ConfigError } from "../../../errors.ts";
import {
  type CollectionSchema,
  type ColumnSchema,
  DECIMAL_NUMBER,
  type JsonSchema,
} from "../../../event/collection-schema.ts";
import { problemsOf } from "../check/judge.ts";
import type { DynamoApi, KeyAttribute, KeyType } from "../client/api.ts";
import { NAMESPACE } from "../decode/record-decoder.ts";
import { readFacts } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";
import type { Encoding } from "../values/attribute-json.ts";

const ORIGIN = "as its key schema has it: of other attributes DynamoDB knows nothing, and they may be anything";

const names: Readonly<Record<KeyType, string>> = { S: "String", N: "Number", B: "Binary" };
const plain: Readonly<Record<KeyType, JsonSchema>> = {
  S: { type: "string" },
  /** A text where a double does not hold it. */
  N: { anyOf: [{ type: "number" }, DECIMAL_NUMBER] },
  B: { type: "string", contentEncoding: "base64" },
};

/** By their names; without the outbox, which is no table of events. @throws ConfigError TABLE_NOT_FOUND and others; TransientError */
export async function describeTables(api: DynamoApi, config: DynamoConfig): Promise<readonly CollectionSchema[]> {
  const facts = await readFacts(api, config);
  const missing = problemsOf(facts, config).find(({ error }) => error.code === "TABLE_NOT_FOUND");
  if (missing !== undefined) throw missing.error;
  const tables = facts.tables.filter(({ table }) => table !== config.outbox?.table);
  if (tables.length === 0) {
    throw new ConfigError("TABLE_NOT_FOUND", "no table is there that the source could read", {
      hint: "Correct tables, the region or the endpoint.",
    });
  }
  return tables.map(({ table, keys, page }) => ({
    id: table,
    namespace: NAMESPACE,
    collection: table,
    identity: "key",
    key: keys.map(({ name }) => name),
    columns: keys.map((key) => columnOf(key, config.encoding)),
    documents: {
      ...{ noun: "item", origin: ORIGIN, open: true, bareName: true, anyMember: true },
      hasAfter: page?.view?.startsWith("NEW") === true,
    },
  }));
}

function columnOf({ name, type }: KeyAttribute, encoding: Encoding): ColumnSchema {
  return { name, number: null, type: names[type], nullable: false, value: valueSchema(type, encoding) };
}

function valueSchema(type: KeyType, encoding: Encoding): JsonSchema {
  if (encoding === "json") return plain[type];
  const value = type === "B" ? plain.B : { type: "string" };
  return { type: "object", properties: { [type]: value }, required: [type], additionalProperties: false };
}
