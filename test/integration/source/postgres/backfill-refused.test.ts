// What keeps the rows of a Postgres table from being copied: each is told with the table, and with what to do about it.

import { describe, expect, test } from "vitest";
import type { ConfigError } from "../../../../src/errors.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { failureOf, type OpenOptions } from "../../../support/postgres/reader.ts";
import { sliceOf, slicesOf } from "../../../support/postgres/slices.ts";
import { missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

describe.skipIf(missing("postgres"))("a copy of a Postgres table", () => {
  const fixture = postgresFixture(`
    do $$ begin
      if not exists (select from pg_roles where rolname = 'copies') then create role copies login replication; end if;
    end $$;
    create table loose(a int) partition by list (a);
    create table whole(id int primary key);
    insert into whole values (1);
    create publication millrace_shop for table loose, whole with (publish = 'insert', publish_via_partition_root)`);
  const asCopies = (): OpenOptions => {
    const url = fixture.database.url.replace("postgres@", "copies@");
    return { options: { url, tables: ["public.loose", "public.whole"] } };
  };

  test("is refused of a partitioned table without a key, and where policies hide rows, with what to do", async () => {
    await fixture.database.query("alter table whole enable row level security; grant select on loose, whole to copies");
    const { source, reading } = await fixture.begin(asCopies());
    const refusals = [await failureOf(sliceOf(source, "loose")), await failureOf(sliceOf(source, "whole"))];

    expect(refusals.map((error) => (error as ConfigError).message)).toEqual([
      expect.stringContaining("partitioned"),
      expect.stringContaining("policies"),
    ]);
    expect(refusals).toMatchObject([{ code: "BACKFILL_REFUSED" }, { hint: expect.stringContaining("BYPASSRLS") }]);
    await reading.stop();
  });

  test("that the role may not read is told with what its owner has to grant, and goes on once it may", async () => {
    const { source, reading } = await fixture.begin(asCopies());
    const refusal = (await failureOf(sliceOf(source, "whole"))) as ConfigError;

    expect(refusal).toMatchObject({ code: "PERMISSION_MISSING", message: expect.stringContaining('"public"."whole"') });
    expect(refusal.hint).toContain('GRANT SELECT ON "public"."whole" TO "copies";');
    expect(refusal.hint).toContain("--without public.whole");
    await fixture.database.query('grant select on "public"."whole" to "copies"');
    expect((await sliceOf(source, "whole")).rows).toHaveLength(1);
    await reading.stop();
  });

  test("that somebody has locked is told with how to find him, and goes on once it is free", async () => {
    const { source, reading } = await fixture.begin();
    const { readSlice } = await slicesOf(source, "whole");
    const other = await fixture.database.connect();
    try {
      await other.query("begin; lock table whole in access exclusive mode");
      const refusal = (await failureOf(readSlice())) as ConfigError;
      expect(refusal).toMatchObject({ code: "SOURCE_LOCKED", message: expect.stringContaining('"public"."whole"') });
      const question = /SELECT .*;/.exec(refusal.hint ?? "")?.[0] ?? "";
      expect(await fixture.database.query(question)).toMatchObject([
        { relation: "whole", state: "idle in transaction" },
      ]);
      await other.query("commit");
      expect((await readSlice()).rows).toHaveLength(1);
    } finally {
      await other.end();
    }
    await reading.stop();
  });

  test("that somebody has locked holds up none of the others: they are found, and read", async () => {
    const { source, reading } = await fixture.begin(asCopies());
    await fixture.database.query('grant select on "public"."whole" to "copies"');
    // A transaction that took its lock before the copy began is waited for: it may have written.
    await sliceOf(source, "whole");
    const other = await fixture.database.connect();
    try {
      await other.query("begin; lock table loose in access exclusive mode");
      expect((await sliceOf(source, "whole")).rows).toHaveLength(1);
    } finally {
      await other.end();
    }
    await reading.stop();
  });

  test("of which a statement was ended is read with fewer rows, and with more again where that does", async () => {
    await fixture.database.query("insert into whole select generate_series(2, 1000)");
    const { source, reading } = await fixture.begin();
    const { readSlice } = await slicesOf(source, "whole");
    const other = await fixture.database.connect();
    try {
      await other.query("begin; lock table whole in access exclusive mode");
      const cancels =
        "select pg_cancel_backend(pid) from pg_stat_activity where query like 'LOCK TABLE%' and wait_event_type = 'Lock'";
      const isEnded = async (): Promise<boolean> => {
        let isOver = false;
        const failure = failureOf(readSlice()).finally(() => {
          isOver = true;
        });
        // Unless the copy has given way before: then once more.
        const cancel = async (): Promise<boolean> => isOver || (await fixture.database.query(cancels)).length > 0;
        await waitFor(cancel, { what: "the copy to wait for the lock" });
        return ((await failure) as ConfigError).code === "BACKFILL_STATEMENT_ENDED";
      };
      await waitFor(isEnded, { what: "the statement to be ended" });
      await other.query("commit");
      const sizes: number[] = [];
      for (let nth = 0; nth < 3; nth++) sizes.push((await readSlice()).rows.length);
      expect(sizes).toEqual([250, 500, 1000]);
    } finally {
      await other.end();
    }
    await reading.stop();
  });
});
