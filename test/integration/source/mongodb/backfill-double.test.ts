// What the run's target cannot show of a slice, on the wire double: a sharded cluster, and an oplog that is nearly passed.

import { expect, test } from "vitest";
import type { Position } from "../../../../src/event/position.ts";
import { onlyPosition, positionsAt, reaches } from "../../../../src/event/positions.ts";
import type { RowCopier, Slice } from "../../../../src/source/capabilities.ts";
import { formatPosition, parsePosition } from "../../../../src/source/mongodb/client/position.ts";
import type { Source } from "../../../../src/source/source.ts";
import { SourceReading } from "../../../contract/source/source-reading.ts";
import { DoubleShop } from "../../../support/mongodb/double-shop.ts";
import { waitFor } from "../../../support/wait-for.ts";

const { signal } = new AbortController();

async function sliceOf(source: Source): Promise<Slice> {
  const copier = source.copier as RowCopier;
  const [target] = await copier.targets();
  if (target === undefined) throw new Error("there is nothing to copy");
  return copier.readSlice({ target, after: undefined, maxRows: 10, maxBytes: 1e6, backfill: 1, signal });
}

const timeOf = ({ notBefore }: Slice) => parsePosition(onlyPosition(notBefore) as Position).time;

test("a replica set's is stored when its log was read to the time of the slice, a sharded cluster's when all shards are past it", async () => {
  for (const topology of ["replicaSet", "sharded"] as const) {
    const shop = await DoubleShop.start({ topology });
    const source = await shop.open();
    const reading = new SourceReading(source);
    await waitFor(() => reading.started, { what: "the stream to be opened" });
    const slice = await sliceOf(source);
    const { t, i } = shop.double.oplog.time;
    expect(timeOf(slice)).toEqual({ t, i: topology === "sharded" ? i + 1 : i });

    // An event of that very time may be one of several.
    const at = positionsAt({
      position: formatPosition({ history: 1, time: { t, i }, ordinal: 1, idle: 0, token: "82" }, true),
    });
    expect(reaches(at, slice.notBefore)).toBe(topology === "replicaSet");
    if (topology === "sharded") shop.double.oplog.tick(1);
    await waitFor(() => reaches(reading.reached, slice.notBefore), { what: "the log to be read so far" });
    await reading.stop();
  }
});

test("a copy makes room for a stream that is 70 % of the oplog's window behind, and goes on when that has caught up", async () => {
  const shop = await DoubleShop.start();
  const { oplog } = shop.double;
  const source = await shop.open(); // it stands where it begins, and reads nothing
  const oldest = oplog.oldest;
  oplog.tick(100);
  oplog.share = 0.5;
  await sliceOf(source);

  oplog.share = 1;
  oplog.reachBackTo({ t: oldest.t - 50, i: 1 });
  const other = await shop.open();
  await expect(sliceOf(other)).resolves.toMatchObject({ isLast: true });
  oplog.reachBackTo({ t: oldest.t - 40, i: 1 });
  const third = await shop.open();
  await expect(sliceOf(third)).rejects.toMatchObject({
    ...{
      code: "BACKFILL_OPLOG_WINDOW",
      message: expect.stringMatching(/^the stream is .* behind, 71 % of what the oplog holds/),
    },
  });
  const reading = new SourceReading(third);
  await waitFor(() => reading.changes.length > 0 || reading.reached !== undefined, { what: "the stream to be read" });
  shop.insert(1);
  await waitFor(() => reading.changes.length === 1, { what: "the event" });
  await expect(sliceOf(third)).resolves.toMatchObject({ isLast: true });
  await reading.stop();
});
