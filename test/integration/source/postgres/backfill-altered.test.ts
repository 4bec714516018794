// A copy of a table whose key, columns and replica identity are changed in the middle of it: it is whole at its end all the same.

import { describe, expect, onTestFinished, test } from "vitest";
import type { RowCopier, Slice, SliceRequest } from "../../../../src/source/capabilities.ts";
import { runAlteredCopy } from "../../../support/postgres/altered-copy.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { failureOf, type TestSource } from "../../../support/postgres/reader.ts";
import { freshDatabase, missing } from "../../../support/servers.ts";

const runs = Number(process.env.SCHEDULES ?? 1);
const firstSeed = Number(process.env.SEED ?? Date.now() % 1e9);

async function sliceOf({ copier }: TestSource, name: string, asked: Partial<SliceRequest> = {}): Promise<Slice> {
  const { targets, readSlice } = copier as RowCopier;
  const target = (await targets.call(copier)).find(({ collection }) => collection === name);
  if (target === undefined) throw new Error(`no ${name}`);
  const { signal } = new AbortController();
  return readSlice.call(copier, {
    ...{ target, after: undefined, maxRows: 2, maxBytes: 1e6, backfill: 7, signal },
    ...asked,
  });
}

test.skipIf(missing("postgres"))(
  "a copy of a table that is altered meanwhile leaves what the table holds, under random schedules",
  { timeout: 600_000 },
  async () => {
    console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
    for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
      await using database = await freshDatabase();
      expect(await runAlteredCopy(database, seed), `seed ${seed}`).toBeUndefined();
    }
  },
);

describe.skipIf(missing("postgres"))("a place in a table that is altered", () => {
  const fixture = postgresFixture(`
    create table item(id int primary key, other int not null unique);
    alter table item replica identity full;
    insert into item select i, -i from generate_series(1, 12) i;`);

  test("is void once the key has another type, another name or other columns, or there is none, or is one", async () => {
    const { source, reading } = await fixture.begin();
    const place = async (): Promise<SliceRequest["after"]> => {
      const slice = await sliceOf(source, "item");
      return JSON.parse(JSON.stringify(slice.rows.length === 0 ? slice.passed : slice.after(1)));
    };
    for (const statement of [
      "alter table item alter id type text", // 12 is before 2 then
      'alter table item alter id type text collate "C"',
      "alter table item rename id to ident",
      "alter table item drop constraint item_pkey, add primary key (other)",
      "alter table item drop constraint item_pkey",
      "alter table item add primary key (ident)",
    ]) {
      const after = await place();
      expect((await sliceOf(source, "item", { after })).isVoid, `before ${statement}`).toBeUndefined();
      await fixture.database.query(statement);
      const slice = await sliceOf(source, "item", { after });
      expect([slice.isVoid, slice.rows], statement).toEqual([true, []]);
    }
    await reading.stop();
  });

  test("is of no copy that another one could go on from: that one waits for what was written before, which the log may lack", async () => {
    const { source, reading } = await fixture.begin();
    await sliceOf(source, "item");
    const open = await fixture.database.connect();
    onTestFinished(() => open.end());
    await open.query("begin; update item set other = 13 where id = 12");
    await sliceOf(source, "item");

    const next = { backfill: 8 };
    expect(await failureOf(sliceOf(source, "item", next))).toMatchObject({ code: "BACKFILL_OLDER_TRANSACTIONS" });
    await open.query("commit");
    expect((await sliceOf(source, "item", next)).rows).toHaveLength(2);
    await reading.stop();
  });
});
