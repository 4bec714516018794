// What is kept and logged of what a handler throws.

import { expect, test } from "vitest";
import { errorFields, summarizeError, wholeError } from "../../../src/automation/outcome/error-summary.ts";
import { rememberSecret } from "../../../src/telemetry/redact.ts";

const place = /^(?:.* \()?test\/unit\/automation\/error-summary\.test\.ts:\d+:\d+\)?$/;

function smtp(): Error {
  const cause = Object.assign(new Error("connect ECONNREFUSED 10.0.0.1:25"), { code: "ECONNREFUSED" });
  return Object.assign(new Error("smtp 421 try later", { cause }), { code: 421 });
}

test("message, code, cause and the first lines of the user's own code are kept, Node's and packages' are not", () => {
  const { at, cause, ...error } = summarizeError(smtp());

  expect(error).toEqual({ name: "Error", message: "smtp 421 try later", code: "421" });
  expect(cause).toMatchObject({ message: "connect ECONNREFUSED 10.0.0.1:25", code: "ECONNREFUSED" });
  expect(at?.[0]).toMatch(/^smtp \(test\/unit\/automation\/error-summary\.test\.ts:\d+:\d+\)$/);
  expect(at?.every((line) => place.test(line))).toBe(true);
});

test("secrets, the values of a statement and what goes on for ever are cut out", () => {
  rememberSecret("hunter2-hunter2");
  const loop: { cause?: unknown } & Error = new Error("again");
  loop.cause = new Error("and again", { cause: loop });
  const failed = new Error(`Failed query: insert into t values ($1)\nparams: 4111-1111`, {
    cause: new Error("postgres://app:pw@db/shop refuses hunter2-hunter2"),
  });

  expect(summarizeError(failed)).toMatchObject({
    message: "Failed query: insert into t values ($1)",
    cause: { message: "postgres://app:[redacted]@db/shop refuses [redacted]" },
  });
  expect(summarizeError(new Error("x".repeat(9000))).message).toHaveLength(500);
  expect(JSON.stringify(summarizeError(loop)).length).toBeLessThan(5000);
});

test("of many errors at once the first is the cause; what is no error has no place", () => {
  expect(summarizeError(new AggregateError([new Error("one"), new Error("two")]))).toMatchObject({
    name: "AggregateError",
    cause: { message: "one" },
  });
  expect(summarizeError("text")).toEqual({ name: "Error", message: "text", code: undefined });
});

test("a log without messages has names, codes and places, also of causes", () => {
  const fields = errorFields(summarizeError(smtp()), "name");

  expect(fields).toMatchObject({ error: "Error", code: "421", cause: { error: "Error", code: "ECONNREFUSED" } });
  expect(JSON.stringify(fields)).not.toMatch(/smtp 421|10\.0\.0\.1/);
  expect(errorFields(summarizeError(smtp()), "message")).toMatchObject({
    message: "smtp 421 try later",
    cause: { message: "connect ECONNREFUSED 10.0.0.1:25" },
  });
});

test("a person at work on the handler sees the whole error and the lines of the source it came from", () => {
  const text = wholeError(smtp());

  expect(text).toContain("smtp 421 try later");
  expect(text).toContain("[cause]");
  expect(text).toMatch(/> +\d+ \| {3}return Object\.assign\(new Error\("smtp 421 try later"/);
});
