// The golden corpus on the installed Postgres: each value as it was read through by hand, and as Postgres' own SQL has it.

import { describe, test } from "vitest";
import { assertGolden } from "../support/golden-file.ts";
import { deliverCorpus, HOSTILE } from "../support/golden-types.ts";
import { freshDatabase, missing } from "../support/servers.ts";

describe.skipIf(missing("postgres"))("every type", () => {
  test.each([
    ["an ordinary role", {}],
    ["a role whose settings change what Postgres prints", HOSTILE],
  ])("is delivered as its golden value to %s", async (_, settings) => {
    await using database = await freshDatabase();

    assertGolden(await deliverCorpus(database, settings));
  });
});
