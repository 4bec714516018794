// What keeps a copy from going on, as a person is told of it.

import { DatabaseError } from "pg";
import { expect, test } from "vitest";
import { copyError } from "../../../../../src/source/postgres/backfill/copy-errors.ts";

const target = { id: "16384", namespace: "my.schema", collection: "Orders" };

function serverError(code: string): DatabaseError {
  return Object.assign(new DatabaseError("as the server says", 0, "error"), { code });
}

test.each([
  ["42501", "PERMISSION_MISSING", 'GRANT SELECT ON "my.schema"."Orders" TO "me"; Where another schema is named'],
  ["42501", "PERMISSION_MISSING", '--without "my.schema".Orders'],
  ["55P03", "SOURCE_LOCKED", "FROM pg_locks"],
  ["55P03", "SOURCE_LOCKED", '--without "my.schema".Orders'],
  ["57014", "BACKFILL_STATEMENT_ENDED", "an index on the key"],
])("of SQLSTATE %s is %s, of the table, with %j", (state, code, hint) => {
  const error = copyError(serverError(state), target, "me");
  expect(error).toMatchObject({ code, message: expect.stringContaining('"my.schema"."Orders"') });
  expect(error.hint).toContain(hint);
});

test("of all others is told as ever", () => {
  expect(copyError(serverError("57P01"), target, "me").code).toBe("SOURCE_UNREACHABLE");
  expect(copyError(serverError("40001"), target, "me").code).toBe("SOURCE_FAILED");
});
