// An outbox of partitions: a row that an UPDATE moves to another one is the event that it was, and no new one.

import { describe, expect, test } from "vitest";
import { postgresFixture } from "../../support/postgres/fixture.ts";
import { missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("postgres"))("a row of an outbox", () => {
  const fixture = postgresFixture(`
    create table item(id int primary key);
    create table box(id uuid, aggregatetype text, aggregateid text, type text, payload jsonb, state text,
      primary key (id, state)) partition by list (state);
    create table box_new partition of box for values in ('new');
    create table box_sent partition of box for values in ('sent')`);

  test("is one event however often it moves between partitions, and one that is deleted and comes back later is another", async () => {
    const { reading } = await fixture.begin({ options: { tables: ["public.item"], outbox: { table: "public.box" } } });
    const insert = (id: string): string =>
      `insert into box values ('00000000-0000-4000-8000-00000000000${id}', 'order', '${id}', 'placed', '{}', 'new')`;
    await fixture.database.query(`${insert("1")}; ${insert("2")}`);
    await fixture.database.query("update box set state = 'sent'");
    await fixture.database.query(`begin; ${insert("3")}; update box set state = 'sent' where state = 'new'; commit`);
    await fixture.database.query("delete from box where aggregateid = '1'");
    await fixture.database.query(`${insert("1")}; ${insert("4")}`);
    const keys = (): readonly string[] =>
      reading.events.flatMap(({ subject, head }) =>
        subject.startsWith("events.") ? (/ce-subject: order\/(.*)\r\n/.exec(head)?.[1] ?? "") : [],
      );
    await waitFor(() => keys().includes("4"), { what: "the last event" });

    expect(keys()).toEqual(["1", "2", "3", "1", "4"]);
    await reading.stop();
  });
});
