// Tables that are renamed, or whose names go to others, between the look at a publication and its change.

import { describe, expect, test } from "vitest";
import { clientConfig, Session } from "../../../../../src/source/postgres/client/session.ts";
import { postgresConnector } from "../../../../../src/source/postgres/connector.ts";
import { readPublished } from "../../../../../src/source/postgres/facts/publication.ts";
import { findTables } from "../../../../../src/source/postgres/facts/tables.ts";
import { adjustPublication } from "../../../../../src/source/postgres/tables/publication.ts";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { failureOf, SHOP } from "../../../../support/postgres/reader.ts";
import { RecordedLog } from "../../../../support/postgres/recorded-log.ts";
import { missing } from "../../../../support/servers.ts";

const NAME = "millrace_shop";

describe.skipIf(missing("postgres"))("a publication that is brought to its tables", () => {
  const fixture = postgresFixture("create table orders(id int primary key); create table items(id int primary key)");

  /** Looks, lets something happen, finds the tables, lets something happen, and adjusts. */
  async function adjust(afterLook: string, afterFinding: string): Promise<boolean> {
    const { url } = fixture.database;
    const config = postgresConnector.parse({ url, tables: ["public.*"] }, "sources.shop");
    await using session = new Session(clientConfig(SHOP, url));
    const look = () => readPublished(session, SHOP, NAME, config.tables);
    const existing = await look();
    if (existing === undefined) throw new Error("no publication");
    await fixture.database.query(afterLook);
    const { tables } = await findTables(session, config);
    await fixture.database.query(afterFinding);
    const version = Number(await fixture.value("show server_version_num"));
    const log = new RecordedLog();
    return await adjustPublication(
      session,
      { source: SHOP, name: NAME, tables, kept: [], version, log },
      existing,
      false,
    );
  }

  test("leaves a table in that was renamed meanwhile", async () => {
    await fixture.open();
    expect(await adjust("alter table orders rename to renamed", "")).toBe(false);
    expect(await fixture.published()).toBe("items renamed");
  });

  test("takes no table out that has the name of one which is gone", async () => {
    await fixture.open();
    const another = `create table orders(id int primary key); alter publication ${NAME} add table orders`;
    const failure = await failureOf(adjust("drop table orders", another));
    expect(failure).toMatchObject({ name: "TransientError", message: expect.stringContaining("renamed or dropped") });
    expect(await fixture.published()).toBe("items orders");
  });
});
