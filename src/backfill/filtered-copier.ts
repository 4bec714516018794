// A copy of some rows only: a pattern is held against each row as its `read` event would be, here in the worker. The database is
// asked for nothing else than ever: who may order a copy could otherwise run SQL by the worker's role.

import { setImmediate } from "node:timers/promises";
import { CHANGE_FIELDS, type EventShape } from "../automation/pattern/event-shape.ts";
import { LearningPattern } from "../automation/pattern/learning-pattern.ts";
import { ConfigError, PoisonError } from "../errors.ts";
import { formatCollectionName } from "../event/collection-name.ts";
import type { CollectionVersion, CopiedRow } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import { kindsOfColumns } from "../schema/column-kinds.ts";
import type { CopyTarget, RowCopier } from "../source/capabilities.ts";

/** Bodies that are looked at in one turn of the event loop. */
const TURN_BYTES = 512 * 1024;

/** Refuses a pattern that no copied row can match, as far as that is known without a table. @throws ConfigError PATTERN_INVALID */
export function checkWhere(where: unknown, source: SourceId): void {
  compiled(where, { ...shapeOf(source), learns: true });
}

/**
 * The same copier, which leaves out rows that do not match: they count as passed. Its slices are refused (ConfigError) where the
 * pattern names a column that a table does not have, or cannot be held against a row.
 */
export function filtered(copier: RowCopier, where: unknown, source: SourceId): RowCopier {
  return {
    readsAhead: copier.readsAhead === true,
    targets: () => copier.targets(),
    readSlice: async (request) => {
      const slice = await copier.readSlice(request);
      if (slice.isVoid === true) return slice;
      const { rows, version, notBefore, readsKeys } = slice;
      const kept = await matching(rows, filterOf(where, source, request.target, version), request.target);
      return {
        ...{ version, notBefore, readsKeys, isLast: slice.isLast },
        rows: kept.map((index) => rows[index] as CopiedRow),
        // Behind what is left out in front of the next one.
        after: (nth) => slice.after((kept[nth + 1] ?? rows.length) - 1),
        passed: kept.length > 0 ? undefined : rows.length > 0 ? slice.after(rows.length - 1) : slice.passed,
        ...(slice.asOf && { asOf: slice.asOf }),
        includes: (change) => slice.includes(change),
      };
    },
  };
}

type RowFilter = (row: CopiedRow) => boolean;

/** Indexes of rows that pass. */
async function matching(rows: readonly CopiedRow[], passes: RowFilter, target: CopyTarget): Promise<readonly number[]> {
  const kept: number[] = [];
  let bytes = 0;
  for (const [index, row] of rows.entries()) {
    if (passesIn(row, passes, target)) kept.push(index);
    bytes += row.data.length;
    if (bytes < TURN_BYTES) continue;
    bytes = 0;
    await setImmediate();
  }
  return kept;
}

function passesIn(row: CopiedRow, passes: RowFilter, target: CopyTarget): boolean {
  try {
    return passes(row);
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error;
    const what = `a row of ${formatCollectionName(target)} cannot be held against the pattern of the copy: ${error.message}`;
    throw new ConfigError("BACKFILL_WHERE", what, {
      hint: "Cancel this copy, and start one with another pattern, or without.",
      cause: error,
    });
  }
}

function filterOf(
  where: unknown,
  source: SourceId,
  { namespace, collection }: CopyTarget,
  version: CollectionVersion | undefined,
): RowFilter {
  const place = { source, namespace, collection };
  const row = version && {
    columns: kindsOfColumns(version.schema.columns),
    open: version.schema.documents?.open ?? false,
  };
  const pattern = compiled(where, { ...shapeOf(source), ...(row && { row }) });
  return ({ data, time }) => {
    const body = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.length).toString()) as object;
    return pattern.matches({ ...body, ...place, time }, undefined);
  };
}

function shapeOf(source: SourceId): EventShape {
  return { fields: CHANGE_FIELDS, fixed: { op: "read", source, before: null } };
}

function compiled(where: unknown, shape: EventShape): LearningPattern {
  return new LearningPattern(where, shape, "where of the copy");
}
