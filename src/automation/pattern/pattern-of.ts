// Patterns typed by the events that they are held against: an unknown column, or a label that the enum lacks, does not compile.

type Comparison = "=" | "<" | "<=" | ">" | ">=";

/** Of a bigint or numeric column, whose values are texts, a bound may be one too. */
type Bound = number | string;

/** One comparison, or a bottom and then a top. */
export interface NumericMatch {
  readonly numeric: readonly [Comparison, Bound] | readonly [">" | ">=", Bound, "<" | "<=", Bound];
}

interface IgnoringCase {
  readonly "equals-ignore-case": string;
}

export type TextMatch =
  | { readonly exactly: string }
  | { readonly prefix: string | IgnoringCase }
  | { readonly suffix: string | IgnoringCase }
  | { readonly wildcard: string }
  | { readonly cidr: string }
  | IgnoringCase;

type OneOrMore<Item> = Item | readonly Item[];

/** True of every value that is there and is not this. */
export interface NotMatch<Value> {
  readonly "anything-but":
    | OneOrMore<Value>
    | { readonly prefix: OneOrMore<string> }
    | { readonly suffix: OneOrMore<string> }
    | { readonly wildcard: OneOrMore<string> }
    | { readonly "equals-ignore-case": OneOrMore<string> };
}

export interface ExistsMatch {
  readonly exists: boolean;
}

/**
 * Of labels that may grow, as `millrace types` writes those of an enum (`"a" | "b" | (string & {})`), the ones that are known: where the
 * pattern is made another one is refused. Of other texts themselves.
 */
export type KnownText<Text extends string> = [Literal<Text>] extends [never] ? Text : Literal<Text>;
type Literal<Text extends string> = Text extends unknown ? (string extends Text ? never : Text) : never;

/** A text may stand for a number: the types do not tell a numeric column from a text. */
type TextItem<Text extends string> = string extends Text
  ? string | number | NumericMatch | TextMatch | NotMatch<string> | NotMatch<number>
  : Text | TextMatch | NotMatch<Text>;
type NumberItem = number | string | NumericMatch | NotMatch<number> | NotMatch<string>;

/** What an item of the list may be, for values of these types. */
type Item<Value> =
  | ExistsMatch
  | (null extends Value ? null : never)
  | ([Extract<Value, string>] extends [never] ? never : TextItem<KnownText<Extract<Value, string>>>)
  | ([Extract<Value, number | bigint>] extends [never] ? never : NumberItem)
  | ([Extract<Value, boolean>] extends [never] ? never : Extract<Value, boolean> | NotMatch<string | number>)
  | ([Extract<Value, Date>] extends [never] ? never : string | TextMatch | NotMatch<string>);

/** The elements of arrays in arrays, some levels down: a pattern knows no indexes. */
type Elements<Value, Levels extends readonly unknown[] = []> = Value extends readonly (infer Element)[]
  ? Levels["length"] extends 4
    ? never
    : Elements<Element, [...Levels, unknown]>
  : Value;

type Plain = string | number | bigint | boolean | Date | null | undefined;

type ListOrMembers<Value> =
  | readonly Item<Extract<Value, Plain>>[]
  | ([Exclude<Value, Plain>] extends [never] ? never : PatternOf<Exclude<Value, Plain>>);

type FieldPattern<Value> = unknown extends Value ? AnyField : ListOrMembers<Elements<Value>>;

/** Of a union of events only what all of them have: a pattern must fit each. */
type Members<Event, Name extends keyof Event> = { readonly [One in Name]?: FieldPattern<Event[One]> };

type AnyField = readonly unknown[] | AnyPattern;

interface AnyPattern {
  readonly [name: string]: AnyField;
}

/** A pattern over events of this type. */
export type PatternOf<Event> = unknown extends Event
  ? AnyPattern
  : Members<Event, keyof Event> & {
      readonly $or?: readonly [PatternOf<Event>, PatternOf<Event>, ...PatternOf<Event>[]];
    };
