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
export type KnownText<Text extends string> = [Literal<Text>] extends [never] ? Text : Unbranded<Literal<Text>>;
type Literal<Text extends string> = Text extends unknown ? (string extends Text ? never : Text) : never;
/** A text with a mark that only the compiler sees (`string & { __brand: "OrderId" }`) is any text to a pattern. */
type Unbranded<Text extends string> = Text extends unknown
  ? [keyof Text] extends [keyof string]
    ? Text
    : string
  : never;

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

/**
 * What a field may be, in a box for each event of a union: what events differ in is told from what one event's JSON may be. The boxes
 * are one union, `[A] | [B | C]`.
 */
type Box = readonly [unknown];
type Boxed<Event> = Event extends unknown ? readonly [Event] : never;

/** All names of what is in a box: a pattern may ask for what only some of an event's shapes have. */
type NamesIn<Value> = Value extends unknown ? keyof Value : never;

/** Of several boxes only the names that all have: a pattern must fit each event. */
type NamesOf<In extends Box> = keyof (In extends readonly [infer Value] ? Record<NamesIn<Value>, true> : never);

type Inner<In extends Box, Name> = In extends readonly [infer Value]
  ? readonly [Elements<Value extends unknown ? (Name extends keyof Value ? Value[Name] : never) : never>]
  : never;

type FieldPattern<In extends Box> = unknown extends In[0] ? AnyField : ListOrMembers<In>;

type ListOrMembers<In extends Box> =
  | readonly Item<Extract<In[0], Plain>>[]
  | ([Objects<In>] extends [never] ? never : MembersPattern<Objects<In>>);

/** Of what no name is known (a row `unknown` as the one before) any may be asked for. */
type MembersPattern<In extends Box> = [NamesIn<In[0]>] extends [never] ? AnyPattern : PatternIn<In>;

/** The boxes that have more than plain values, with no others in them. */
type Objects<In extends Box> = In extends readonly [infer Value]
  ? [Exclude<Value, Plain>] extends [never]
    ? never
    : readonly [Exclude<Value, Plain>]
  : never;

type PatternIn<In extends Box> = { readonly [Name in NamesOf<In>]?: FieldPattern<Inner<In, Name>> } & {
  readonly $or?: readonly [Branch<In>, Branch<In>, ...Branch<In>[]];
};

/** A branch fits all events, or one of them: for the others it never holds. */
type Branch<In extends Box> = PatternIn<In> | (In extends unknown ? PatternIn<In> : never);

type AnyField = readonly unknown[] | AnyPattern;

interface AnyPattern {
  readonly [name: string]: AnyField;
}

/** A pattern over events of this type. */
export type PatternOf<Event> = unknown extends Event ? AnyPattern : PatternIn<Boxed<Event>>;
