// Columns that triggers and patterns name and that no event of the collection will have: most likely they are misspelt.

import { type Clock, within } from "../../clock.ts";
import { nearest } from "../../config/nearest.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Finding } from "../../telemetry/finding.ts";
import type { Automation } from "../define/automation.ts";

const CHECK_MS = 10_000;

/** What a source reads now, which is asked of it once; undefined where there is no such source. @throws MillraceError */
export type CollectionsOf = (source: SourceId) => Promise<readonly Listed[] | undefined>;

interface Listed {
  readonly namespace: string;
  readonly name: string;
  /** Undefined where its events may have any. */
  readonly columns?: readonly string[];
}

/**
 * A warning for each such column, as far as the databases answer in time. It is no refusal: a migration may be about to add the
 * column, and a pattern may ask for one that is not there.
 */
export async function unknownColumns(
  automations: readonly Automation[],
  collectionsOf: CollectionsOf,
  clock: Clock,
): Promise<readonly Finding[]> {
  const checks = automations.flatMap(({ id, names }) =>
    names.map(async ({ source, namespace, name, columns, by }) => {
      const listed = await within(clock, CHECK_MS, collectionsOf(source));
      const found = listed?.find((one) => one.namespace === namespace && one.name === name);
      const there = found?.columns;
      if (there === undefined) return [];
      const unknown = columns.filter((path) => !there.some((one) => path === one || path.startsWith(`${one}.`)));
      return unknown.map((column) => warning(id, `${source}: ${namespace}.${name}`, { column, by, there }));
    }),
  );
  const results = await Promise.allSettled(checks);
  return results.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
}

function warning(
  id: string,
  collection: string,
  { column, by, there }: { readonly column: string; readonly by: string; readonly there: readonly string[] },
): Finding {
  const meant = nearest(column, there);
  const what = `its ${by} names the column ${column}, which events of ${collection} do not have`;
  return {
    level: "warn",
    code: "AUTOMATION_COLUMN_UNKNOWN",
    subject: `automation ${id}`,
    message: `${what}: as long as there is none, ${by === "where" ? "the pattern is held against nothing there" : "no event starts it"}`,
    fix: meant === undefined ? `The columns are ${there.join(", ")}.` : `Did you mean ${meant}?`,
  };
}
