// Compiles a column's type to one writer: scalars by name, everything made of others from what the catalog says of it.

import type { CatalogType } from "../client/catalog.ts";
import { arrayOf } from "./array.ts";
import { checked, orText } from "./checked.ts";
import { compositeOf } from "./composite.ts";
import { multirangeOf, rangeOf } from "./range.ts";
import { builtInName, builtInType, extensionType, safeInteger, text } from "./scalars.ts";
import type { ValueType, ValueWriter } from "./value-type.ts";

/**
 * How a column's values are written when not as their type has it: `text` as Postgres prints them, `number` for `int8`
 * as a number where a double holds it exactly.
 */
export type ValueFormat = "number" | "text";

export interface ColumnType {
  readonly type: number;
  /** What the log said about the type: the name of a domain's base type in pg_catalog. */
  readonly typeName: string | undefined;
}

/** Deeper ones stay text: their quotes double with each level, so nobody has them. */
const MAX_DEPTH = 32;

/** @param types what the catalog knows; a type that is not there (it was dropped) is written as text */
export function valueType(
  column: ColumnType,
  types: ReadonlyMap<number, CatalogType>,
  format: ValueFormat | undefined,
): ValueType {
  if (format === "text") return text;
  const compiler: Compiler = { types, integer: format === "number" ? safeInteger : builtInType("int8") };
  const name = builtInName(column.type);
  if (name !== undefined) return scalar(compiler, name);
  const type = types.get(column.type);
  if (type === undefined) return column.typeName === undefined ? text : scalar(compiler, column.typeName);
  if (type.shape.kind === "domain") {
    const base = { type: type.shape.base, typeName: undefined };
    return builtInName(base.type) === undefined ? structured(compiler, base.type) : valueType(base, types, format);
  }
  return structured(compiler, column.type);
}

/** Whether a column's values are JSON of any kind: jsonb, or a domain over it. */
export function isJsonb({ type, typeName }: ColumnType, types: ReadonlyMap<number, CatalogType>): boolean {
  if (typeName === "jsonb" || builtInName(type) === "jsonb") return true;
  const shape = types.get(type)?.shape;
  return shape?.kind === "domain" && isJsonb({ type: shape.base, typeName: undefined }, types);
}

interface Compiler {
  readonly types: ReadonlyMap<number, CatalogType>;
  /** The type of int8. */
  readonly integer: ValueType;
}

function scalar({ integer }: Compiler, name: string): ValueType {
  return name === "int8" ? integer : builtInType(name);
}

function structured(compiler: Compiler, oid: number): ValueType {
  const write = part(compiler, oid, false, 0);
  return write === text.write ? text : { plain: false, write: orText(write) };
}

/** @param inRow what stands in a row's attribute is not certain to be of its type */
function part(compiler: Compiler, oid: number, inRow: boolean, depth: number): ValueWriter {
  const name = builtInName(oid);
  if (name !== undefined) {
    const { write } = scalar(compiler, name);
    return inRow ? checked(name, write) : write;
  }
  const shape = compiler.types.get(oid)?.shape;
  if (shape === undefined || depth > MAX_DEPTH) return text.write;
  const of = (inner: number): ValueWriter => part(compiler, inner, inRow, depth + 1);
  switch (shape.kind) {
    case "domain":
      return of(shape.base);
    case "array":
      return arrayOf(of(shape.element), shape.delimiter);
    case "range":
      return rangeOf(of(shape.subtype));
    case "multirange": {
      const range = compiler.types.get(shape.range)?.shape;
      return range?.kind === "range" ? multirangeOf(of(range.subtype)) : text.write;
    }
    case "composite":
      return orText(
        compositeOf(
          shape.attributes.map(({ name: attribute, type }) => ({
            name: attribute,
            write: part(compiler, type, true, depth + 1),
          })),
        ),
      );
    case "scalar":
      return extensionType(shape.output)?.write ?? text.write;
    case "enum":
      return text.write;
  }
}
