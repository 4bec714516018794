// Holds an event's data to a schema of the user's own: any library's that follows Standard Schema (zod, Valibot, ArkType).

import { PoisonError, toError } from "../../errors.ts";
import { invalid } from "../outcome/invalid.ts";
import type { AnyEvent } from "./trigger.ts";

/** What Standard Schema (version 1) asks of a schema; `standardschema.dev` has the libraries. */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

const MOST_PATHS = 10;

/** The event with what the schema makes of its data. @throws PoisonError; a promise rejects with it */
export function fitEvent(schema: StandardSchema | undefined, event: AnyEvent): AnyEvent | Promise<AnyEvent> {
  if (schema === undefined) return event;
  const data = fitData(schema, (event as AnyEvent & { readonly data: unknown }).data);
  const whole = (fit: unknown): AnyEvent => Object.assign({}, event, { data: fit });
  return data instanceof Promise ? data.then(whole) : whole(data);
}

/** @throws ConfigError `AUTOMATION_INVALID` for what is no such schema */
export function refuseNoSchema(schema: unknown, place: string): void {
  const standard = (schema as Partial<StandardSchema> | null | undefined)?.["~standard"];
  if (standard?.version === 1 && typeof standard.validate === "function") return;
  throw invalid(
    `${place}: what it was given is no Standard Schema`,
    "give it a schema of zod 3.24 or newer, of Valibot, ArkType, or of another library that follows standardschema.dev",
  );
}

/**
 * Why a schema refuses the data, in its own words, which may quote it: for whoever gave the data, and nobody else. Empty where it fits.
 * @throws what the schema throws
 */
export async function issuesOf(schema: StandardSchema, data: unknown): Promise<readonly string[]> {
  const { issues = [] } = await schema["~standard"].validate(data);
  return issues.map(({ path = [], message }) => `${textOf(path)}: ${message}`);
}

/**
 * What the schema makes of the data.
 * @throws PoisonError `EVENT_DATA_UNFIT`, with where the data does not fit, never with a value; a promise rejects with it
 */
function fitData<Output>(schema: StandardSchema<Output>, data: unknown): Output | Promise<Output> {
  let result: StandardResult<Output> | Promise<StandardResult<Output>>;
  try {
    result = schema["~standard"].validate(data);
  } catch (error) {
    throw broken(error);
  }
  if (!(result instanceof Promise)) return fitting(result);
  return result.then(fitting, (error: unknown) => {
    throw broken(error);
  });
}

function fitting<Output>(result: StandardResult<Output>): Output {
  if (result.issues === undefined) return result.value;
  const paths = [...new Set(result.issues.map(({ path = [] }) => textOf(path)))];
  const more = paths.length > MOST_PATHS ? `, and ${paths.length - MOST_PATHS} more` : "";
  throw new PoisonError(
    "EVENT_DATA_UNFIT",
    `its data does not fit the trigger's schema at ${paths.slice(0, MOST_PATHS).join(", ")}${more}`,
    { hint: "correct who writes such events, or the schema; the dead letter has the data" },
  );
}

/** The message may quote the data: only the name goes further. */
function broken(error: unknown): PoisonError {
  return new PoisonError("EVENT_DATA_UNFIT", `the trigger's schema threw ${toError(error).name} at its data`, {
    hint: "a schema must not throw: let it return issues",
  });
}

/** `items[0].price`; `the top` for the data itself. */
function textOf(path: NonNullable<StandardIssue["path"]>): string {
  const text = path
    .map((segment) => (typeof segment === "object" ? segment.key : segment))
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("");
  return text === "" ? "the top" : text.replace(/^\./, "");
}
