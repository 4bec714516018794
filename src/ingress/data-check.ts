// Whether a typed event's data fits its schema: any library's that follows Standard Schema, or a JSON Schema.

import { createRequire } from "node:module";
import type { Ajv, Options } from "ajv";
import { ConfigError } from "../errors.ts";

/** Whether it fits. What it throws, or rejects with, is the schema's own fault. */
export type DataCheck = (data: unknown) => boolean | Promise<boolean>;

interface Standard {
  readonly version: number;
  validate(value: unknown): StandardResult | Promise<StandardResult>;
}
interface StandardResult {
  readonly issues?: readonly unknown[] | undefined;
}

/** @throws ConfigError EVENT_SCHEMA_INVALID */
export function dataCheckOf(type: string, schema: object): DataCheck {
  const standard = (schema as { readonly "~standard"?: Partial<Standard> })["~standard"];
  if (standard === undefined) return jsonSchemaCheck(type, schema);
  const { validate } = standard;
  if (standard.version !== 1 || typeof validate !== "function")
    throw invalid(type, "it is no Standard Schema of version 1");
  return (data) => {
    const result = validate.call(standard, data);
    return result instanceof Promise ? result.then(fits) : fits(result);
  };
}

function fits({ issues }: StandardResult): boolean {
  return issues === undefined;
}

/** Draft 7 where `$schema` says so, else 2020-12. What a keyword means that it does not know, nobody checks: so it is refused. */
function jsonSchemaCheck(type: string, schema: object): DataCheck {
  const { $schema = "", $async } = schema as { readonly $schema?: unknown; readonly $async?: unknown };
  const draft7 = /draft-0[67]\//.test(String($schema));
  const options = { strict: false, strictSchema: true, validateFormats: false } as const;
  if ($async !== undefined) throw invalid(type, "$async is no JSON Schema");
  try {
    const check = validator(draft7, options).compile(schema);
    return (data) => check(data) === true;
  } catch (error) {
    throw invalid(type, error instanceof Error ? error.message : "it cannot be compiled");
  }
}

/** Loaded only now: a process without such a schema starts sooner. */
function validator(draft7: boolean, options: Options): Ajv {
  const load = createRequire(import.meta.url);
  if (draft7) return new (load("ajv") as typeof import("ajv")).Ajv(options);
  return new (load("ajv/dist/2020.js") as typeof import("ajv/dist/2020.js")).Ajv2020(options);
}

function invalid(type: string, why: string): ConfigError {
  return new ConfigError("EVENT_SCHEMA_INVALID", `events.types.${type}: ${why}`, {
    hint: "Give it a schema of a library that follows Standard Schema (zod, Valibot, ArkType), or a JSON Schema of draft 7 or 2020-12.",
  });
}
