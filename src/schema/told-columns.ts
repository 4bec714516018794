// What the version of a collection that an event names says of its columns.

import { z } from "zod";
import type { StateStore } from "../bus/state-store.ts";
import type { Columns } from "../event/column-kind.ts";
import { kindsOfColumns } from "./column-kinds.ts";

/** The bucket of all sources' versions, as `ce-dataschema` names it. */
export const BUCKET = "kv:millrace_schemas";

const NAME = /^[a-z][a-z0-9_]*\.[0-9a-f]+$/;

/** The name of a version in the bucket; undefined where the uri is none of ours. */
export function versionName(uri: string): string | undefined {
  const name = uri.startsWith(`${BUCKET}/`) ? uri.slice(BUCKET.length + 1) : "";
  return NAME.test(name) ? name : undefined;
}

const versionSchema = z.object({
  columns: z.array(z.object({ name: z.string(), value: z.record(z.string(), z.unknown()) })),
});

/** The kinds of the columns of one version, by its name; undefined where it is not there. @throws TransientError while the bus is away */
export async function toldColumns(schemas: Pick<StateStore, "get">, name: string): Promise<Columns | undefined> {
  const entry = await schemas.get(name);
  const version = entry && versionSchema.safeParse(entry.value);
  if (version?.success !== true) return undefined;
  return kindsOfColumns(version.data.columns);
}
