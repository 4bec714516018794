// What the stream got behind the newest marker of a copy, when the worker that made it has ended: the source goes on where the stream
// ends, so nobody is handed those changes again.

import type { ChangesBehind, StoredChange } from "../bus/source-stream.ts";
import { isDone, isOver, parseProgress } from "./progress.ts";
import { lacksValues } from "./row-change.ts";

/** More than any marker holds: beyond it all is read once more anyway. */
const ENOUGH = 2000;

/**
 * Keys of rows that are owed for such changes (`OwedRows`), as far as they can be told: a row that was whole may be among them.
 * @param progress of the newest marker
 * @throws TransientError while the bus is away
 */
export async function owedSince(
  progress: Readonly<Record<string, unknown>> | undefined,
  changesBehind: (what: Omit<ChangesBehind, "seq">) => AsyncIterable<StoredChange>,
): Promise<readonly string[]> {
  const stored = progress && parseProgress(progress);
  const at = stored?.at;
  // Before the first row is stored all rows are ahead; behind the last one, with nothing owed, each is whole and stays so.
  if (stored === undefined || isOver(stored) || at?.after === undefined || isDone(at)) return [];
  const { namespace, collection } = at;
  const keys = new Set<string>();
  for await (const { key, data } of changesBehind({ namespace, collection, op: "created" })) {
    if (data === undefined || lacksValues(data)) keys.add(key);
    if (keys.size > ENOUGH) break;
  }
  return [...keys];
}
