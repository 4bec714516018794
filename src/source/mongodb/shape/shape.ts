// What a value may be, by its types in BSON: a set of values that is never smaller than the true one. Whatever is learnt of a
// collection, from its validator or from documents, is put together here; `join` is either of two, `meet` is both at once.

import { Type } from "../values/bson.ts";

/** The types by the names that `$type` and `bsonType` have for them. */
export const bsonNames = {
  double: Type.double,
  string: Type.string,
  object: Type.document,
  array: Type.array,
  binData: Type.binary,
  undefined: Type.undefined,
  objectId: Type.objectId,
  bool: Type.boolean,
  date: Type.date,
  null: Type.null,
  regex: Type.regex,
  dbPointer: Type.dbPointer,
  javascript: Type.code,
  symbol: Type.symbol,
  javascriptWithScope: Type.codeWithScope,
  int: Type.int32,
  timestamp: Type.timestamp,
  long: Type.int64,
  decimal: Type.decimal128,
  minKey: Type.minKey,
  maxKey: Type.maxKey,
} as const;

export type BsonName = keyof typeof bsonNames;

/** The only texts, numbers or truth values that there may be; of a kind that is not named, any. Decimals are not among them. */
export interface Literals {
  readonly string?: ReadonlySet<string> | undefined;
  readonly number?: ReadonlySet<number> | undefined;
  readonly bool?: ReadonlySet<boolean> | undefined;
}

export interface Shape {
  readonly types: ReadonlySet<BsonName>;
  readonly literals: Literals;
  /** Of those values that are documents; undefined: any. */
  readonly object: ObjectShape | undefined;
  /** The elements of those values that are arrays; undefined: any. */
  readonly items: Shape | undefined;
}

export interface Member {
  readonly shape: Shape;
  readonly required: boolean;
}

export interface ObjectShape {
  readonly members: ReadonlyMap<string, Member>;
  /** Members by other names; undefined: there are none. */
  readonly rest: Shape | undefined;
}

const allNames = Object.keys(bsonNames) as readonly BsonName[];

/** Any value of these types; by default any value. */
export function anyOf(types: Iterable<BsonName> = allNames): Shape {
  return { types: new Set(types), literals: {}, object: undefined, items: undefined };
}

/** Nothing is known of it yet: joined with another it is that one. */
export const NOTHING: Shape = anyOf([]);

/** Whether nothing can be said of its values. */
export function isAnything({ types, literals, object, items }: Shape): boolean {
  const limited = object ?? items ?? literals.string ?? literals.number ?? literals.bool;
  return types.size === allNames.length && limited === undefined;
}

/** By the kind of literals, the types whose values are such. */
const literalTypes = { string: ["string"], number: ["int", "long", "double"], bool: ["bool"] } as const;

/** What is of the one or of the other. */
export function join(a: Shape, b: Shape): Shape {
  const both = <Part>(type: BsonName, one: Part, other: Part, joined: () => Part): Part => {
    if (!a.types.has(type)) return other;
    return b.types.has(type) ? joined() : one;
  };
  const joinLiterals = <Value>(
    kind: keyof Literals,
    one: ReadonlySet<Value> | undefined,
    other: ReadonlySet<Value> | undefined,
  ): ReadonlySet<Value> | undefined => {
    const has = (shape: Shape): boolean => literalTypes[kind].some((type) => shape.types.has(type));
    if (!has(a)) return other;
    if (!has(b)) return one;
    return one && other && new Set([...one, ...other]);
  };
  return {
    types: new Set([...a.types, ...b.types]),
    literals: {
      string: joinLiterals("string", a.literals.string, b.literals.string),
      number: joinLiterals("number", a.literals.number, b.literals.number),
      bool: joinLiterals("bool", a.literals.bool, b.literals.bool),
    },
    object: both("object", a.object, b.object, () => a.object && b.object && joinObjects(a.object, b.object)),
    items: both("array", a.items, b.items, () => a.items && b.items && join(a.items, b.items)),
  };
}

function joinObjects(a: ObjectShape, b: ObjectShape): ObjectShape {
  const members = new Map<string, Member>();
  for (const name of new Set([...a.members.keys(), ...b.members.keys()])) {
    const [one, other] = [a.members.get(name), b.members.get(name)];
    const [left, right] = [one?.shape ?? a.rest ?? NOTHING, other?.shape ?? b.rest ?? NOTHING];
    members.set(name, { shape: join(left, right), required: one?.required === true && other?.required === true });
  }
  return { members, rest: a.rest && b.rest ? join(a.rest, b.rest) : (a.rest ?? b.rest) };
}

/** What is of the one and of the other; perhaps more than that, where a value can be neither. */
export function meet(a: Shape, b: Shape): Shape {
  return {
    types: new Set([...a.types].filter((type) => b.types.has(type))),
    literals: {
      string: both(a.literals.string, b.literals.string, common),
      number: both(a.literals.number, b.literals.number, common),
      bool: both(a.literals.bool, b.literals.bool, common),
    },
    object: both(a.object, b.object, meetObjects),
    items: both(a.items, b.items, meet),
  };
}

function both<Part>(a: Part | undefined, b: Part | undefined, met: (a: Part, b: Part) => Part): Part | undefined {
  return a === undefined ? b : b === undefined ? a : met(a, b);
}

function common<Value>(a: ReadonlySet<Value>, b: ReadonlySet<Value>): ReadonlySet<Value> {
  return new Set([...a].filter((value) => b.has(value)));
}

function meetObjects(a: ObjectShape, b: ObjectShape): ObjectShape {
  const members = new Map<string, Member>();
  for (const name of new Set([...a.members.keys(), ...b.members.keys()])) {
    const [one, other] = [a.members.get(name), b.members.get(name)];
    const shape = both(one?.shape ?? a.rest, other?.shape ?? b.rest, meet) ?? NOTHING;
    members.set(name, { shape, required: one?.required === true || other?.required === true });
  }
  return { members, rest: a.rest && b.rest && meet(a.rest, b.rest) };
}
