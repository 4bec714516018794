// Standard Schema, version 1, as far as events need it: what zod, valibot, arktype and others all implement.

/** Declares what an event's data is. */
export interface EventSchema<Input = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult | Promise<SchemaResult>;
    readonly types?: { readonly input: Input; readonly output: unknown } | undefined;
  };
}

type SchemaResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
      }[];
    };

/** The data as the schema makes it, or where it does not fit: paths only, for a schema's own words may quote the data. */
export async function validate(
  schema: EventSchema,
  data: unknown,
): Promise<{ readonly value: unknown } | { readonly paths: readonly string[] }> {
  const result = await schema["~standard"].validate(data);
  if (result.issues === undefined) return { value: result.value };
  const paths = result.issues.map(({ path = [] }) =>
    ["data", ...path.map((step) => String(typeof step === "object" ? step.key : step))].join("."),
  );
  return { paths: [...new Set(paths)] };
}
