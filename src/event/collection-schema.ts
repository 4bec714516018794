// What a collection's events look like: its columns with what they are in JSON. One such description is one version.

/** A JSON Schema (draft 2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A whole number as a text, with all its digits. */
export const WHOLE_NUMBER: JsonSchema = { type: "string", pattern: "^-?\\d+$" };

/** A decimal number as a text, with all its digits. */
export const DECIMAL_NUMBER: JsonSchema = {
  type: "string",
  pattern: "^(-?\\d+(\\.\\d+)?([Ee][+-]?\\d+)?|NaN|-?Infinity)$",
};

/** Whether the texts that a schema allows stand for numbers. */
export function isNumberText({ type, pattern }: JsonSchema): boolean {
  return type === "string" && (pattern === WHOLE_NUMBER.pattern || pattern === DECIMAL_NUMBER.pattern);
}

export interface ColumnSchema {
  readonly name: string;
  /** What the database never gives to another column of the table, so that a renamed one is known; null when it is not known. */
  readonly number: number | null;
  /** As the database writes it: `numeric(10,2)`. */
  readonly type: string;
  /** Null when it is not known. */
  readonly nullable: boolean | null;
  /** The schema of the value as events carry it, null aside. */
  readonly value: JsonSchema;
  /** Whether the log may leave it out of an update, and nobody fills it in. Asked for types only. */
  readonly omissible?: boolean;
  /** Whether it is declared as an array of arrays; how deep its values really are is not checked by the database. Asked for types only. */
  readonly nested?: boolean;
  /** Whether a document may be without it. Asked for types only. */
  readonly optional?: boolean;
}

/** What is said of a collection's documents where the database holds them to no columns. */
export interface DocumentsSchema {
  /** Where it is known from, for a person: "from a sample of 12 documents, …". */
  readonly origin: string;
  /** Whether a document may have members that are not named. */
  readonly open: boolean;
  /** Whether the collection's name alone tells it apart, whatever comes. */
  readonly bareName: boolean;
  /** What one is called. Default: a document. */
  readonly noun?: "item";
  /** Whether its type has any other member too: nothing is known of those that are not named. Default: no. */
  readonly anyMember?: true;
  /** Whether an update always comes with the one after. Default: no, it may be gone by then. */
  readonly hasAfter?: boolean;
}

export interface CollectionSchema {
  /** The database's own id of the collection, which a rename does not change. */
  readonly id: string;
  readonly namespace: string;
  readonly collection: string;
  /** What the log carries of a row before: its `key` columns, those of an `index`, the `full` row, `nothing`. */
  readonly identity: "key" | "index" | "full" | "nothing";
  /** Names of the columns of an event's key; empty when it has none. */
  readonly key: readonly string[];
  readonly columns: readonly ColumnSchema[];
  /** Undefined for a table. Asked for types only. */
  readonly documents?: DocumentsSchema;
}
