// What a version of a collection changed against the one before. Columns are told apart by number, so that a rename is one.

import type { CollectionSchema, ColumnSchema } from "../event/collection-schema.ts";

/** Only what changed is there. */
export interface SchemaChanges {
  /** The collection's old name, as `<namespace>.<collection>`. */
  readonly renamedFrom?: string;
  readonly added?: readonly string[];
  readonly dropped?: readonly string[];
  readonly renamed?: readonly { readonly from: string; readonly to: string }[];
  readonly retyped?: readonly { readonly column: string; readonly from: string; readonly to: string }[];
  /** The type is the same, its JSON is not: another version of Millrace, other options, another composite. */
  readonly recoded?: readonly string[];
  readonly nullable?: readonly { readonly column: string; readonly nullable: boolean }[];
  /** The key before. */
  readonly key?: readonly string[];
  /** The identity before. */
  readonly identity?: CollectionSchema["identity"];
}

/** In the new version's order of columns; columns by their new names, but for dropped ones. */
export function schemaChanges(before: CollectionSchema, after: CollectionSchema): SchemaChanges {
  const pairs = after.columns.map((column) => ({ column, old: sameColumn(before, column) }));
  const kept = new Set(pairs.map(({ old }) => old));
  const both = pairs.filter((pair): pair is { column: ColumnSchema; old: ColumnSchema } => pair.old !== undefined);
  const name = fullName(before);
  const lists = {
    added: pairs.filter(({ old }) => old === undefined).map(({ column }) => column.name),
    dropped: before.columns.filter((column) => !kept.has(column)).map((column) => column.name),
    renamed: both
      .filter(({ column, old }) => column.name !== old.name)
      .map(({ column, old }) => ({ from: old.name, to: column.name })),
    retyped: both
      .filter(({ column, old }) => column.type !== old.type)
      .map(({ column, old }) => ({ column: column.name, from: old.type, to: column.type })),
    recoded: both
      .filter(({ column, old }) => column.type === old.type && !sameForm(column.value, old.value))
      .map(({ column }) => column.name),
    nullable: both.flatMap(({ column: { name: column, nullable }, old }) =>
      nullable === null || nullable === old.nullable ? [] : [{ column, nullable }],
    ),
  };
  return {
    ...(name === fullName(after) ? {} : { renamedFrom: name }),
    ...Object.fromEntries(Object.entries(lists).filter(([, items]) => items.length > 0)),
    ...(same(renamedKey(before.key, both), after.key) ? {} : { key: before.key }),
    ...(before.identity === after.identity ? {} : { identity: before.identity }),
  };
}

/** The one of the same number; of the same name where a number is not known. */
export function sameColumn(schema: CollectionSchema, { number, name }: ColumnSchema): ColumnSchema | undefined {
  const numbered = number === null ? undefined : schema.columns.find((column) => column.number === number);
  if (numbered !== undefined) return numbered;
  return schema.columns.find((column) => column.name === name && (number === null || column.number === null));
}

/** A key is the same when only its columns' names changed. */
function renamedKey(
  key: readonly string[],
  both: readonly { readonly column: ColumnSchema; readonly old: ColumnSchema }[],
): readonly string[] {
  return key.map((name) => both.find(({ old }) => old.name === name)?.column.name ?? name).sort();
}

function fullName({ namespace, collection }: CollectionSchema): string {
  return `${namespace}.${collection}`;
}

/** Whether two schemas describe the same JSON. One that gives no pattern of a text only says less of it: an older version wrote it. */
function sameForm(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  const [one, other] = [a, b] as readonly Readonly<Record<string, unknown>>[];
  if (one === undefined || other === undefined || Array.isArray(a) !== Array.isArray(b)) return false;
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  const both = (name: string): boolean => Object.hasOwn(one, name) && Object.hasOwn(other, name);
  return [...names].every((name) => (name === "pattern" && !both(name)) || sameForm(one[name], other[name]));
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
