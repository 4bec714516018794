// What every session of ours is, whatever the url, the role and the database are set to.

import { describe, expect, test } from "vitest";
import { clientConfig, Session } from "../../../../../src/source/postgres/client/session.ts";
import { SHOP } from "../../../../support/postgres/reader.ts";
import { freshDatabase, missing } from "../../../../support/servers.ts";

describe.skipIf(missing("postgres"))("a session", () => {
  test("looks into pg_catalog alone, and keeps the other options of the url", async () => {
    await using database = await freshDatabase();
    await database.query(
      `alter database ${new URL(database.url).pathname.slice(1)} set search_path = public, pg_catalog`,
    );
    const options = "?options=-c%20search_path%3Dpublic%20-c%20geqo%3Doff";
    for (const [query, geqo] of [
      ["", "on"],
      [options, "off"],
    ] as const) {
      await using session = new Session(clientConfig(SHOP, `${database.url}${query}`));
      const rows = await session.query("select current_setting('search_path') path, current_setting('geqo') geqo");
      expect(rows).toEqual([{ path: "pg_catalog,pg_temp", geqo }]);
    }
  });
});
