// What the driver and the server throw, as the class that says what to do next.

import { AssertionError } from "node:assert";
import { DatabaseError } from "pg";
import { expect, test } from "vitest";
import { BugError } from "../../../../../src/errors.ts";
import { translateError } from "../../../../../src/source/postgres/client/errors.ts";

function fromServer(code: string, message = "the server's words"): DatabaseError {
  const error = new DatabaseError(message, 0, "error");
  error.code = code;
  return error;
}

test.each([
  ["28P01", "ConfigError", "AUTH_FAILED"],
  ["28000", "ConfigError", "AUTH_FAILED"],
  ["3D000", "ConfigError", "DATABASE_MISSING"],
  ["42501", "ConfigError", "PERMISSION_MISSING"],
  ["53400", "ConfigError", "SLOTS_EXHAUSTED"],
  ["55006", "TransientError", "SLOT_ACTIVE"],
  ["55P03", "TransientError", "SOURCE_LOCKED"],
  ["25P04", "TransientError", "TRANSACTION_TIMEOUT"],
  ["57P01", "TransientError", "SOURCE_UNREACHABLE"],
  ["57P03", "TransientError", "SOURCE_UNREACHABLE"],
  ["08006", "TransientError", "SOURCE_UNREACHABLE"],
  ["58P01", "HistoryLostError", "SLOT_LOST"],
  ["XX000", "TransientError", "SOURCE_FAILED"],
])("SQLSTATE %s is a %s %s", (state, name, code) => {
  const error = translateError(fromServer(state));

  expect(error).toMatchObject({ name, code, message: "the server's words" });
  expect(error.hint).toBeTruthy();
});

test("a pooler that does not know replication is in the way", () => {
  const error = fromServer("08P01", "unsupported startup parameter: replication");

  expect(translateError(error)).toMatchObject({ name: "ConfigError", code: "POOLER_IN_THE_WAY" });
});

test.each([
  ['no pg_hba.conf entry for host "10.0.0.7", user "app", database "shop", no encryption', "sslmode=require"],
  ["connection requires a valid client certificate", "sslcert"],
])("a refusal that is about TLS has a way out that names it: %s", (message, wayOut) => {
  expect(translateError(fromServer("28000", message))).toMatchObject({
    code: "AUTH_FAILED",
    hint: expect.stringContaining(wayOut),
  });
});

test("a connection that several addresses refused still says why", () => {
  const error = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" });

  expect(translateError(error)).toMatchObject({ code: "SOURCE_UNREACHABLE", message: "ECONNREFUSED" });
});

test("a system error whose code looks like an SQLSTATE is none", () => {
  const error = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });

  expect(translateError(error)).toMatchObject({ name: "TransientError", code: "SOURCE_UNREACHABLE" });
});

test.each([
  new TypeError("x is undefined"),
  new RangeError("x is out of range"),
  new ReferenceError("x is not defined"),
  new AssertionError({ message: "x is not y" }),
])("$name is a bug, and not a database that is away", (error) => {
  expect(translateError(error)).toMatchObject({
    name: "BugError",
    code: "BUG",
    message: `${error.name}: ${error.message}`,
    stack: expect.stringContaining("errors.test.ts"),
    cause: error,
  });
});

test("what a SyntaxError quotes is not told", () => {
  const error = translateError(new SyntaxError(`Unexpected token 'r', "row data" is not valid JSON`));

  expect(error).toMatchObject({ name: "BugError", message: "SyntaxError" });
  expect(error.stack).not.toContain("row data");
});

test("a network error that comes as a TypeError has a cause, and is no bug", () => {
  const error = new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });

  expect(translateError(error)).toMatchObject({ name: "TransientError", code: "SOURCE_UNREACHABLE" });
});

test("our own errors stay as they are", () => {
  const error = new BugError("X", "x");

  expect(translateError(error)).toBe(error);
});
