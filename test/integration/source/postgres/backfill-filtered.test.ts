// Copies of Postgres tables with a row filter: a slice looks at so many rows at most, whether or not they pass it.

import { describe, expect, test } from "vitest";
import type { CopiedRow } from "../../../../src/event/source-event.ts";
import type { RowCopier, SliceRequest } from "../../../../src/source/capabilities.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { missing } from "../../../support/servers.ts";

const idOf = ({ data }: CopiedRow): unknown => JSON.parse(Buffer.from(data).toString()).after.id;

// 14 knows no row filters.
describe.skipIf(missing("postgres") || process.env.POSTGRES === "postgres14")("a table with a row filter", () => {
  const fixture = postgresFixture(`
    create table sparse(id int primary key, state text);
    insert into sparse select i, case when i in (3, 203, 499) then 'open' else 'done' end from generate_series(1, 500) i;
    alter table sparse replica identity full;
    create publication millrace_shop for table sparse where (state = 'open')`);

  test("is read in slices that end behind twice the rows that they may have, though few of those pass or none", async () => {
    const { source, reading } = await fixture.begin();
    const copier = source.copier as RowCopier;
    const [target = expect.unreachable()] = await copier.targets();
    const slices: unknown[] = [];
    for (let after: SliceRequest["after"]; ; ) {
      const { signal } = new AbortController();
      const request = { target, after, maxRows: 100, maxBytes: 1e6, backfill: 1, signal };
      const { rows, isLast, passed, after: behind } = await copier.readSlice(request);
      slices.push([rows.map(idOf), passed, isLast]);
      if (isLast) break;
      after = JSON.parse(JSON.stringify(rows.length === 0 ? passed : behind(rows.length - 1)));
    }

    const at = (id: string): object => ({ columns: ["id"], order: expect.any(String), values: [id], upTo: ["500"] });
    expect(slices).toEqual([
      [[3], undefined, false],
      [[203], undefined, false],
      [[], at("403"), false],
      [[499], undefined, true],
    ]);
    await reading.stop();
  });
});
