// Whether what a transaction did can be seen in a snapshot: `pg_current_snapshot()` against the xid of an event.

const EPOCH = 2n ** 32n;

/**
 * @param snapshot as Postgres prints it: `xmin:xmax:xip,xip…`, with 64-bit transaction ids
 * @returns whether the transaction with this id (32 bit, as the log has it) had ended when the snapshot was taken; of a
 *   transaction that the log delivers that means it was committed and visible
 */
export function visibleIn(snapshot: string): (transaction: string) => boolean {
  const [xmin = 0n, xmax = 0n] = snapshot.split(":", 2).map(BigInt);
  const inProgress = new Set(snapshot.slice(snapshot.lastIndexOf(":") + 1).split(","));
  return (transaction) => {
    // Of the ids with the same lower half the one nearest to the snapshot: the log holds no others.
    const near = xmax - (xmax % EPOCH) + BigInt(transaction);
    const id = near - xmax > EPOCH / 2n ? near - EPOCH : xmax - near > EPOCH / 2n ? near + EPOCH : near;
    return id < xmin || (id < xmax && !inProgress.has(String(id)));
  };
}

/** Whether one transaction began after another, by ids (32 bit) that are less than half of all ids apart. */
export function beganAfter(transaction: string, other: string): boolean {
  return ((Number(transaction) - Number(other)) | 0) > 0;
}
