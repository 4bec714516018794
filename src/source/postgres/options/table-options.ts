// One item of the option `tables`: a pattern alone, or one with what else holds for the tables that it names.

import { z } from "zod";
import type { ValueFormat } from "../values/compile.ts";
import { type Mask, maskSchema } from "./mask.ts";
import { parseTablePattern, type TablePattern } from "./table-pattern.ts";

/** What becomes of rows that existed before a table was read first. */
export const backfillSchema = z.enum(["initial", "none"], { error: 'expected "initial" or "none"' });
type Backfill = z.infer<typeof backfillSchema>;

/** What holds for the tables of an item. Names of columns are spelt as in the database. */
export interface TableOptions {
  readonly columns?: readonly string[] | { readonly exclude: readonly string[] } | undefined;
  readonly mask: Readonly<Record<string, Mask>>;
  readonly values: Readonly<Record<string, ValueFormat>>;
  /** An SQL condition that rows must meet; the publication's row filter. */
  readonly where?: string | undefined;
  /** What becomes of values that the log leaves out, as they did not change. */
  readonly toast: "omit" | "reselect";
  /** Whether its rows are copied once; undefined: as the source says. */
  readonly backfill?: Backfill | undefined;
  /** All columns that are named above. */
  readonly named: readonly string[];
}

export interface TableItem extends TablePattern {
  /** Undefined for a pattern alone. */
  readonly options?: TableOptions | undefined;
}

const expected = 'expected "schema.table", with * for any letters and ! to leave out';

const pattern = z.string().transform((text, context): TablePattern => {
  const parsed = parseTablePattern(text);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: "custom", message: expected });
  return z.NEVER;
});

const columnNames = z.array(z.string().min(1)).min(1, { error: "expected at least one column" });

const withOptions = z
  .strictObject({
    match: pattern.refine((parsed) => !parsed.excludes, {
      error: "options are for tables that are read, not left out with !",
    }),
    columns: z
      .union([columnNames, z.strictObject({ exclude: columnNames })], {
        error: 'expected a list of columns, or { exclude: ["column"] }',
      })
      .optional(),
    mask: z.record(z.string(), maskSchema).default({}),
    values: z.record(z.string(), z.enum(["number", "text"], { error: 'expected "number" or "text"' })).default({}),
    where: z.string().min(1).optional(),
    toast: z.enum(["omit", "reselect"], { error: 'expected "omit" or "reselect"' }).default("omit"),
    backfill: backfillSchema.optional(),
  })
  .transform(({ match, ...options }): TableItem => {
    const { columns, mask, values } = options;
    const listed = columns === undefined ? [] : "exclude" in columns ? columns.exclude : columns;
    const named = [...new Set([...listed, ...Object.keys(mask), ...Object.keys(values)])];
    return { ...match, options: { ...options, named } };
  });

export const tableItemSchema: z.ZodType<TableItem> = z.union([pattern, withOptions], {
  error: (issue) => (typeof issue.input === "string" ? expected : undefined),
});
