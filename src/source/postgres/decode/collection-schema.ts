// One version of a table as the stream is told of it: what the log says, with what only the catalog knows.

import type { CollectionSchema, ColumnSchema } from "../../../event/collection-schema.ts";
import type { TableDescription } from "../client/catalog.ts";
import { columnNumbers } from "../options/column-numbers.ts";
import type { TableRules } from "../options/table-rules.ts";
import { valueSchema } from "../values/value-schema.ts";
import { identified, keyColumns, type Relation } from "./table.ts";

/** What a table's rows carry before, by what the log calls it. */
const identities: Readonly<Record<string, CollectionSchema["identity"]>> = {
  d: "key",
  i: "index",
  f: "full",
  n: "nothing",
};

/**
 * The catalog may be of a later time than the log: what it no longer knows is null. Columns left out are not part of it.
 * @param toasts columns that can be stored apart from their row: the log leaves them out of an update that keeps them
 * @param nested columns that are declared with more than one dimension
 * @param labels whether the labels of enums are part of it: adding one is no new version of a table
 */
export function collectionSchema(
  described: Relation,
  description: TableDescription,
  rules: TableRules,
  {
    labels = false,
    toasts = new Set(),
    nested = new Set(),
  }: {
    readonly labels?: boolean;
    readonly toasts?: ReadonlySet<string>;
    readonly nested?: ReadonlySet<string>;
  } = {},
): CollectionSchema {
  const relation = identified(described, description);
  const { columns, types, formats } = description;
  const numbers = columnNumbers(relation.columns, columns);
  const key = keyColumns(relation, description).map(
    (index) => (relation.columns[index] as Relation["columns"][number]).name,
  );
  const whole = rules.reselects || (relation.identity === "f" && !description.partlyFull);
  return {
    id: String(relation.oid),
    namespace: relation.namespace,
    collection: relation.name,
    identity: identities[relation.identity] ?? "nothing",
    key,
    columns: relation.columns.flatMap(({ name, type }, index): ColumnSchema[] => {
      const rule = rules.column(name);
      if (rule === "left out") return [];
      const number = numbers[index] ?? null;
      const column = columns.find(({ attnum }) => attnum === number);
      const value = rule?.schema ?? valueSchema(type, { types, labels, format: rules.format(name) });
      const omissible = !whole && toasts.has(name) && !key.includes(name);
      const nullable = column === undefined ? null : !column.notNull;
      const marks = { ...(omissible && { omissible }), ...(nested.has(name) && { nested: true }) };
      return [{ name, number, type: formats[index] ?? "unknown", nullable, value, ...marks }];
    }),
  };
}
