// What the driver and the server throw, as the class that says what to do next.

import { DatabaseError } from "pg";
import { expect, test } from "vitest";
import { BugError } from "../../src/errors.ts";
import { translateError } from "../../src/source/postgres/errors.ts";

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

test("a password that is wanted and not given is a failed authentication", () => {
  const error = new Error("SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string");

  expect(translateError(error)).toMatchObject({ name: "ConfigError", code: "AUTH_FAILED" });
});

test("a connection that several addresses refused still says why", () => {
  const error = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" });

  expect(translateError(error)).toMatchObject({ code: "SOURCE_UNREACHABLE", message: "ECONNREFUSED" });
});

test("a system error whose code looks like an SQLSTATE is none", () => {
  const error = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });

  expect(translateError(error)).toMatchObject({ name: "TransientError", code: "SOURCE_UNREACHABLE" });
});

test("our own errors stay as they are", () => {
  const error = new BugError("X", "x");

  expect(translateError(error)).toBe(error);
});
