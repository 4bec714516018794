// Lists of tables that do not fit the database any more, or never did: told by name, and no source stops for one table's sake.

import { describe, expect, test } from "vitest";
import { findingsOf } from "../../../support/postgres/findings.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { failureOf, openShop, Reading } from "../../../support/postgres/reader.ts";
import { missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

describe.skipIf(missing("postgres"))("a list of tables", () => {
  const fixture =
    postgresFixture(`create table orders(id int primary key); create table notes(id int primary key, text text);
    create table ev(id int primary key) partition by range (id);
    create table ev_open partition of ev for values from (0) to (10);
    create table ev_secret partition of ev for values from (10) to (20)`);

  test.each([
    ["public.*", "!public.ev_secret"],
    ["public.ev", "!public.*_secret"],
  ])("that leaves out a partition whose rows come under its root is refused, by its name: %s %s", async (...tables) => {
    const refused = {
      code: "TABLE_EXCLUSION_IGNORED",
      message: expect.stringMatching(/_secret".*public\.ev_secret come under public\.ev$/),
    };
    expect(await failureOf(fixture.open({ options: { tables } }))).toMatchObject(refused);
    expect(await findingsOf(fixture.database.url, { tables })).toContainEqual(
      expect.objectContaining({ ...refused, level: "fail" }),
    );
    await fixture.open({ options: { tables: ["public.*", "!public.ev", "!public.ev_secret"] } });
  });

  test("one table of which was dropped: the source starts again, reads the others, and says what is gone", async () => {
    const tables = ["public.orders", { match: "public.notes", mask: { text: { constant: "x" } } }];
    const options = { tables, timeout: "600ms" };
    const { source, reading } = await fixture.begin({ options });
    await reading.stop();
    await fixture.database.query("drop table notes");
    const again = await fixture.reopen(source, { options });
    const second = new Reading(again, reading.last);
    await fixture.database.query("insert into orders values (1)");

    expect(await second.rows(1)).toMatchObject([{ key: { id: 1 } }]);
    await waitFor(() => again.notices().length > 0, { what: "the notice" });
    expect(again.notices()).toMatchObject([
      { code: "TABLES_MATCH_NOTHING", message: expect.stringContaining("public.notes") },
    ]);
    await second.stop();
  });

  test("of a role whose transactions are read-only is refused with the reason", async () => {
    await fixture.database.query(`drop role if exists reader; create role reader login superuser;
      alter role reader set default_transaction_read_only = on`);
    const url = fixture.database.url.replace("postgres@", "reader@");

    expect(await failureOf(openShop(url))).toMatchObject({ name: "ConfigError", code: "SESSION_READ_ONLY" });
  });
});
