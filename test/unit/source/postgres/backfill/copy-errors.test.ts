// What keeps a copy from going on, as a person is told of it.

import { DatabaseError } from "pg";
import { expect, test } from "vitest";
import { TransientError } from "../../../../../src/errors.ts";
import { copyError, targetsError } from "../../../../../src/source/postgres/backfill/copy-errors.ts";

const target = { id: "16384", namespace: "my.schema", collection: "Orders" };

function serverError(code: string): DatabaseError {
  return Object.assign(new DatabaseError("as the server says", 0, "error"), { code });
}

test.each([
  ["42501", "PERMISSION_MISSING", 'GRANT SELECT ON "my.schema"."Orders" TO "me"; Or go on without it'],
  ["42501", "PERMISSION_MISSING", '--without "my.schema".Orders'],
  ["55P03", "SOURCE_LOCKED", "FROM pg_locks"],
  ["57014", "BACKFILL_STATEMENT_ENDED", "an index on the key"],
])("of SQLSTATE %s is %s, of the table, with %j", (state, code, hint) => {
  const error = copyError(serverError(state), target, "me");
  expect(error).toMatchObject({ code, message: expect.stringContaining('"my.schema"."Orders"') });
  expect(error.hint).toContain(hint);
});

test("a lock that the catalog waited for is told with how to find who holds it; all else as ever", () => {
  const locked = targetsError(new TransientError("SOURCE_LOCKED", "canceling statement due to lock timeout"));
  expect(locked).toMatchObject({ code: "SOURCE_LOCKED", hint: expect.stringContaining("FROM pg_locks") });
  for (const state of ["57P01", "40001"])
    expect(copyError(serverError(state), target, "me").code).toBe(targetsError(serverError(state)).code);
});
