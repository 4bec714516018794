// A table as the log describes it, compiled once for each version: how its rows become JSON, keys and subjects.

import { PoisonError } from "../../../errors.ts";
import { canonicalJson, laneOf } from "../../../event/lane.ts";
import { percentEncode } from "../../../event/percent.ts";
import type { ChangeKind, CollectionVersion } from "../../../event/source-event.ts";
import type { Op } from "../../../event/subject.ts";
import type { JsonWriter } from "../../json-writer.ts";
import type { TableDescription } from "../client/catalog.ts";
import { columnNumbers } from "../options/column-numbers.ts";
import { checkKey, NO_RULES, type TableRules } from "../options/table-rules.ts";
import { isJsonb, valueType } from "../values/compile.ts";
import { builtInName } from "../values/scalars.ts";
import type { ValueWriter } from "../values/value-type.ts";
import { memberText } from "./json-member.ts";
import { NULL, type Tuple, UNCHANGED } from "./tuple.ts";

/** What a Relation message says. */
export interface Relation {
  readonly oid: number;
  readonly namespace: string;
  readonly name: string;
  /** `d` default, `i` an index, `f` the full row, `n` nothing. */
  readonly identity: string;
  readonly columns: readonly {
    readonly name: string;
    /** Part of the replica identity; under `f` that is every column. */
    readonly identity: boolean;
    readonly type: number;
    /** -1 for none. */
    readonly typmod: number;
    /** The type's name in pg_catalog; for a domain that of its base type. */
    readonly typeName: string | undefined;
  }[];
}

interface Column {
  /** `"name":` */
  readonly lead: Uint8Array;
  /** `,"name":` */
  readonly follow: Uint8Array;
  /** `"name"` */
  readonly quoted: Uint8Array;
  readonly write: ValueWriter;
  /** What stands for SQL's null. */
  readonly nullText: Uint8Array;
}

const NULL_TEXT = Buffer.from("null");
const OPEN = 0x7b;
const CLOSE = 0x7d;

export class Table {
  readonly namespace: string;
  readonly collection: string;
  readonly version: CollectionVersion | undefined;
  /** Whether the version was handed out, be it without a place: events of it may follow. */
  isNamed = false;
  /** Whether it was handed out in a place, so that the stream is told of it. */
  isDescribed = false;
  /** Whether the old row comes whole with updates and deletes. */
  readonly full: boolean;
  /** Whether two rows may have one key until a transaction ends. */
  readonly keyMayCollide: boolean;
  /** Indexes of the key's columns, sorted by name: the JSON of a key is canonical. */
  readonly key: readonly number[];
  /** Whether a key as events have it has the texts of its values as Postgres prints them, percent-encoded. */
  readonly plainKey: boolean;
  /** The same of each column of the key; where not, whether it is as its type has it (by its name in pg_catalog), or as a mask. */
  readonly keyForms: ReadonlyMap<string, "plain" | "masked" | { readonly type: string | undefined }>;
  /** The most that names, nulls and punctuation of one event may need. */
  readonly frameBytes: number;
  /** Whether columns are left out or masked: the raw bytes of a row must not be kept. */
  readonly hides: boolean;
  readonly relation: Relation;
  /**
   * The numbers of its columns, where values that the log leaves out are asked of the database; null for one that is not
   * known.
   */
  readonly reselected: readonly (number | null)[] | undefined;
  /** Undefined for a column that is left out. */
  readonly #columns: readonly (Column | undefined)[];
  readonly #keyNames: ReadonlyMap<number, KeyName>;
  readonly #kinds = new Map<Op, ChangeKind>();

  /**
   * @param description its key counts where the log cannot tell it: under full identity
   * @param version undefined where no events are made of it
   * @throws ConfigError TABLE_KEY_HIDDEN
   */
  constructor(
    described: Relation,
    description: TableDescription,
    rules: TableRules = NO_RULES,
    version?: CollectionVersion,
  ) {
    const relation = identified(described, description);
    this.version = version;
    this.namespace = relation.namespace;
    this.collection = relation.name;
    this.full = relation.identity === "f";
    this.hides = rules.hides;
    this.relation = relation;
    const types = relation.columns.map((column) => valueType(column, description.types, rules.format(column.name)));
    const shown = relation.columns.map((column) => rules.column(column.name));
    this.#columns = relation.columns.map((column, index) => {
      const rule = shown[index];
      if (rule === "left out") return undefined;
      const name = JSON.stringify(column.name);
      const { write, nullText } = rule ?? { ...(types[index] as (typeof types)[number]), nullText: NULL_TEXT };
      return {
        lead: Buffer.from(`${name}:`),
        follow: Buffer.from(`,${name}:`),
        quoted: Buffer.from(name),
        write,
        nullText,
      };
    });
    this.key = keyColumns(relation, description);
    this.#keyNames = new Map(
      this.key.map((index) => {
        const { name, type, typeName } = relation.columns[index] as Relation["columns"][number];
        const asItIs = shown[index] === undefined && rules.format(name) !== "text";
        return [index, { name, isJson: asItIs && isJsonb({ type, typeName }, description.types) }];
      }),
    );
    this.keyMayCollide = this.full && this.key.length > 0 && description.deferrable;
    const keyNames = this.key.map((index) => (relation.columns[index] as Relation["columns"][number]).name);
    checkKey(this.namespace, this.collection, keyNames, rules);
    const reselects = rules.reselects && !this.full && this.key.length > 0;
    this.reselected = reselects ? columnNumbers(relation.columns, description.columns) : undefined;
    this.keyForms = new Map(
      this.key.map((index, nth) => [
        keyNames[nth] as string,
        shown[index] !== undefined
          ? "masked"
          : types[index]?.plain === true
            ? "plain"
            : { type: pgName(relation.columns[index] as Relation["columns"][number]) },
      ]),
    );
    this.plainKey = [...this.keyForms.values()].every((form) => form === "plain");
    this.frameBytes = shown.reduce((sum, rule, index) => {
      const room = typeof rule === "object" ? rule.room : 0;
      return sum + 6 * ((this.#columns[index]?.follow.length ?? 0) + 12 + room);
    }, 256);
  }

  /** Writes the key, or null for a table without one. Columns that the log left out of `row` are taken from `old`. */
  writeKey(writer: JsonWriter, frame: Buffer, row: Tuple, old: Tuple | undefined): void {
    if (this.key.length === 0) {
      writer.literal(NULL_TEXT);
      return;
    }
    writer.byte(OPEN);
    let first = true;
    for (const index of this.key) {
      this.#writeColumn(writer, frame, index, first, keyTuple(row, old, index));
      first = false;
    }
    writer.byte(CLOSE);
  }

  /** Writes a row. Columns that the log left out are taken from `old` where it has them, else omitted. */
  writeRow(writer: JsonWriter, frame: Buffer, row: Tuple, old: Tuple | undefined): void {
    writer.byte(OPEN);
    let first = true;
    for (let index = 0; index < row.count; index++) {
      const tuple = row.kinds[index] === UNCHANGED && old !== undefined ? old : row;
      if (tuple.kinds[index] === UNCHANGED || this.#columns[index] === undefined) continue;
      this.#writeColumn(writer, frame, index, first, tuple);
      first = false;
    }
    writer.byte(CLOSE);
  }

  /**
   * Whether an old row that is not whole holds the key: a partition may have another replica identity than its root, and
   * what identifies a row is never null.
   */
  hasKey(before: Tuple): boolean {
    return this.full || this.key.every((index) => before.kinds[index] !== NULL);
  }

  get columnCount(): number {
    return this.#columns.length;
  }

  /** A column's name as JSON; undefined for one that is left out. */
  columnName(index: number): Uint8Array | undefined {
    return this.#columns[index]?.quoted;
  }

  /** One object for all changes of an op. */
  kind(op: Op): ChangeKind {
    let kind = this.#kinds.get(op);
    if (kind === undefined) {
      kind = { namespace: this.namespace, collection: this.collection, op, version: this.version };
      this.#kinds.set(op, kind);
    }
    return kind;
  }

  /** The lane of the key whose JSON stands at `[from, to)`. */
  lane(json: Buffer, from: number, to: number): string {
    if (this.plainKey) return laneOf(json, from, to);
    return laneOf(Buffer.from(canonicalJson(JSON.parse(json.toString("utf8", from, to)))));
  }

  /** The key's values for `ce-subject`: percent-encoded, joined by commas. */
  keyText(frame: Buffer, row: Tuple, old: Tuple | undefined, json: Buffer, from: number, to: number): string {
    if (!this.plainKey) {
      const key = json.subarray(from, to);
      return this.key.map((index) => jsonKeyPart(key, this.#keyNames.get(index) as KeyName)).join(",");
    }
    let text = "";
    for (let nth = 0; nth < this.key.length; nth++) {
      const index = this.key[nth] as number;
      const tuple = keyTuple(row, old, index);
      if (nth > 0) text += ",";
      text += tuple.kinds[index] === NULL ? "null" : keyPart(columnText(frame, tuple, index));
    }
    return text;
  }

  /** The texts of the key's values, in its order: as Postgres printed them. */
  keyTexts(frame: Buffer, row: Tuple, old: Tuple | undefined): readonly string[] {
    return this.key.map((index) => columnText(frame, keyTuple(row, old, index), index));
  }

  #writeColumn(writer: JsonWriter, frame: Buffer, index: number, first: boolean, tuple: Tuple): void {
    const column = this.#columns[index] as Column;
    writer.literal(first ? column.lead : column.follow);
    if (tuple.kinds[index] === NULL) writer.literal(column.nullText);
    else column.write(writer, frame, tuple.from[index] as number, tuple.to[index] as number);
  }
}

/**
 * A partitioned table with the identity that all of its rows have: the log names that of the root, and carries before a row
 * what its partition has. Where that is not FULL everywhere, nothing but the key can be told from what is not known.
 */
export function identified(relation: Relation, { partlyFull, primaryKey }: TableDescription): Relation {
  if (relation.identity !== "f" || !partlyFull) return relation;
  const columns = relation.columns.map((column) => ({ ...column, identity: primaryKey.includes(column.name) }));
  return { ...relation, identity: "d", columns };
}

function pgName({ type, typeName }: Relation["columns"][number]): string | undefined {
  return builtInName(type) ?? typeName;
}

/** Indexes of the columns of the key, sorted by their names. */
export function keyColumns({ identity, columns }: Relation, { primaryKey }: TableDescription): readonly number[] {
  const names = columns.map((column) => column.name);
  // The catalog is of now and the log of then: a key whose columns are not all in the log is none, never a part of it.
  const primary = primaryKey.every((name) => names.includes(name)) ? primaryKey : [];
  return columns
    .map((column, index) => ((identity === "f" ? primary.includes(column.name) : column.identity) ? index : -1))
    .filter((index) => index >= 0)
    .sort((a, b) => ((names[a] as string) < (names[b] as string) ? -1 : 1));
}

/** A toasted key that did not change comes with the old row only. */
function keyTuple(row: Tuple, old: Tuple | undefined, index: number): Tuple {
  if (row.kinds[index] !== UNCHANGED) return row;
  if (old === undefined || old.kinds[index] === UNCHANGED) {
    throw new PoisonError("KEY_MISSING", "the log carries no value for a key column");
  }
  return old;
}

function columnText(frame: Buffer, tuple: Tuple, index: number): string {
  return frame.toString("utf8", tuple.from[index] as number, tuple.to[index] as number);
}

interface KeyName {
  readonly name: string;
  /** Its value is any JSON: a text of it keeps its quotes, or it would look like a number. */
  readonly isJson: boolean;
}

/** As the body has it, to the last digit, without space between the parts. */
function jsonKeyPart(key: Buffer, { name, isJson }: KeyName): string {
  const text = memberText(key, name)?.toString("utf8") ?? "null";
  if (text.startsWith('"') && !isJson) return keyPart(JSON.parse(text) as string);
  return keyPart(text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, "$1"));
}

/** A comma inside a value is escaped, so that the ones between values can be told. */
function keyPart(text: string): string {
  const encoded = percentEncode(text);
  return encoded.includes(",") ? encoded.replaceAll(",", "%2C") : encoded;
}
