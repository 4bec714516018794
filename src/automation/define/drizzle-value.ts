// Values of events as node-postgres hands them to drizzle, and from there as drizzle's own columns read them.

/** What drizzle keeps of a column; read by name, so that whichever drizzle an application has loaded is understood. */
export interface DrizzleColumn {
  readonly name: string;
  /** Whether the name is the property's: then drizzle's option `casing` makes another of it. */
  readonly keyAsName?: boolean;
  readonly columnType: string;
  readonly primary?: boolean;
  /** What its values are in JavaScript: `string`, `number`, `date` and so on. */
  readonly dataType: string;
  readonly enumValues?: readonly string[] | undefined;
  readonly baseColumn?: DrizzleColumn;
  getSQLType(): string;
  mapFromDriverValue(value: unknown): unknown;
}

/**
 * What drizzle's own query gives, in a session with `TimeZone` UTC and the default `DateStyle` and `IntervalStyle`.
 * @throws when the value is not of the column's type
 */
export function drizzleValue(column: DrizzleColumn, value: unknown): unknown {
  if (column.baseColumn !== undefined && Array.isArray(value)) return elements(column.baseColumn, value);
  return column.mapFromDriverValue(driverValue(column.getSQLType().toLowerCase(), value));
}

function elements(column: DrizzleColumn, values: readonly unknown[]): unknown {
  return values.map((value) => {
    if (value === null) return null;
    return Array.isArray(value) && !isVector(column.getSQLType())
      ? elements(column.baseColumn ?? column, value)
      : drizzleValue(column, value);
  });
}

const FLOATS: ReadonlySet<string> = new Set(["real", "double precision", "float4", "float8", "float"]);
/** The types of which node-postgres makes lists, as drizzle lets it; a list of any other type is text for it. */
const LISTS: ReadonlySet<string> = new Set([
  ...FLOATS,
  ..."smallint,int2,integer,int,int4,bigint,int8,oid,boolean,bool,bytea,money,text,varchar,character varying".split(
    ",",
  ),
  ..."char,character,bpchar,uuid,json,jsonb,point,numrange,inet,cidr,macaddr,time,time without time zone".split(","),
  ...["timetz", "time with time zone"],
]);
const CIRCLE = /^<\((.*),(.*)\),(.*)>$/;

/** @param type as the declaration has it */
function driverValue(type: string, value: unknown): unknown {
  if (value === null) return null;
  const name = type.replace(/ *\([^)]*\)/, "");
  if (name.endsWith("[]") && Array.isArray(value)) {
    const element = name.replace(/(?:\[\])+$/, "");
    return LISTS.has(element) ? listOf(element, value) : printedArray(element, value);
  }
  if (name === "bytea") return Buffer.from(value as string, "base64");
  if (/^(?:timestamp|date\b)/.test(name)) return printedTime(value as string);
  if (name.startsWith("interval")) return printedInterval(value as string);
  if (FLOATS.has(name)) return Number(value);
  if (isVector(name) && Array.isArray(value)) return `[${value.join(",")}]`;
  if (name === "json" || name === "jsonb") return value;
  if (name === "point") return pointOf(value as string);
  if (name === "circle") return circleOf(value as string);
  if (name === "sparsevec") return printedSparse(value as Sparse);
  if (name.endsWith("multirange"))
    return `{${(value as readonly Range[]).map((range) => printedRange(name, range)).join(",")}}`;
  if (name.endsWith("range") && typeof value === "object") return printedRange(name, value as Range);
  // A composite type, or what else is text for drizzle and no text here.
  if (typeof value === "object") throw new TypeError(`${name} is no text`);
  return value;
}

function listOf(element: string, values: readonly unknown[]): readonly unknown[] {
  return values.map((one) => (Array.isArray(one) ? listOf(element, one) : driverValue(element, one)));
}

/** As array_out() prints it. */
function printedArray(element: string, values: readonly unknown[]): string {
  const delimiter = element === "box" ? ";" : ",";
  const printed = values.map((one) => {
    if (one === null) return "NULL";
    if (Array.isArray(one)) return printedArray(element, one);
    const value = driverValue(element, one);
    const text = typeof value === "boolean" ? String(value).slice(0, 1) : String(value);
    const plain = text !== "" && !/^null$/i.test(text) && !/["\\{}\s]/.test(text) && !text.includes(delimiter);
    return plain ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
  });
  return `{${printed.join(delimiter)}}`;
}

function isVector(type: string): boolean {
  return /^(?:vector|halfvec)\b/.test(type);
}

function pointOf(text: string): { readonly x: number; readonly y: number } {
  const [x = "", y = ""] = text.slice(1, -1).split(",");
  return { x: Number.parseFloat(x), y: Number.parseFloat(y) };
}

function circleOf(text: string): object {
  const [, x = "", y = "", radius = ""] = CIRCLE.exec(text) ?? [];
  return { x: Number.parseFloat(x), y: Number.parseFloat(y), radius: Number.parseFloat(radius) };
}

interface Sparse {
  readonly dim: number;
  readonly values: Readonly<Record<string, number>>;
}

function printedSparse({ dim, values }: Sparse): string {
  return `{${Object.entries(values).map(([nth, value]) => `${nth}:${value}`)}}/${dim}`;
}

type Range =
  | { readonly empty: true }
  | { readonly lower: unknown; readonly upper: unknown; readonly bounds: string; readonly empty?: undefined };

/** As range_out() prints it. */
function printedRange(type: string, range: Range): string {
  if (range.empty) return "empty";
  const bound = (value: unknown): string => {
    if (value === null) return "";
    const text = /^(?:ts|date)/.test(type) ? printedTime(String(value)) : String(value);
    return text === "" || /[\s()[\],"\\]/.test(text) ? `"${text.replace(/["\\]/g, "$&$&")}"` : text;
  };
  return `${range.bounds[0]}${bound(range.lower)},${bound(range.upper)}${range.bounds[1]}`;
}

/** A date or timestamp. Of a year beyond four digits, or before 1, it has a sign here. */
function printedTime(value: string): string {
  const text = value.replace("T", " ").replace(/Z$/, "+00");
  const [, sign, digits, rest] = /^([+-]?)(\d{4,})(-.*)$/.exec(text) ?? [];
  if (digits === undefined || (sign === "" && Number(digits) > 0)) return text;
  const year = sign === "-" ? 1 + Number(digits) : Number(digits);
  const before = sign === "-" || year === 0;
  return `${String(year === 0 ? 1 : year).padStart(4, "0")}${rest}${before ? " BC" : ""}`;
}

const ISO = /^P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(\.\d+)?S)?)?$/;

/** As interval_out() prints it in the style `postgres`. */
function printedInterval(value: string): string {
  const [whole, years, months, days, hours = "0", minutes = "0", minus = "", seconds = "0", fraction = ""] =
    ISO.exec(value) ?? [];
  if (whole === undefined) return value; // infinity
  const parts: string[] = [];
  let before = false;
  for (const [amount, unit] of [
    [years, "year"],
    [months, "mon"],
    [days, "day"],
  ] as const) {
    const count = Number(amount ?? 0);
    if (count === 0) continue;
    parts.push(`${before && count > 0 ? "+" : ""}${count} ${unit}${count === 1 ? "" : "s"}`);
    before = count < 0;
  }
  const two = (text: string): string => text.replace("-", "").padStart(2, "0");
  const time = `${two(hours)}:${two(minutes)}:${two(seconds)}${fraction}`;
  if (parts.length > 0 && !/[1-9]/.test(time)) return parts.join(" ");
  const negative = minus === "-" || hours.startsWith("-") || minutes.startsWith("-");
  return [...parts, `${negative ? "-" : before ? "+" : ""}${time}`].join(" ");
}
