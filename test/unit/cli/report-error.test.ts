import { expect, test } from "vitest";
import { describeError, exitCodeOf } from "../../../src/cli/common/report-error.ts";
import { BugError, ConfigError, FencedError, HistoryLostError, TransientError } from "../../../src/errors.ts";
import { rememberSecret } from "../../../src/telemetry/redact.ts";

test("the exit code says whose turn it is", () => {
  expect(exitCodeOf(new ConfigError("A", "a"))).toBe(2);
  expect(exitCodeOf(new HistoryLostError("A", "a"))).toBe(4);
  for (const error of [
    new TransientError("A", "a"),
    new FencedError("A", "a"),
    new BugError("A", "a"),
    new Error("a"),
    "text",
  ]) {
    expect(exitCodeOf(error)).toBe(1);
  }
});

test("an error is two lines: code and what happened, then what to do", () => {
  const error = new ConfigError("NATS_SERVER_MISSING", "no nats-server\nPyPI: no\nGo: no", { hint: "install one" });

  expect(describeError(error, false)).toBe("NATS_SERVER_MISSING: no nats-server; PyPI: no; Go: no\nfix: install one");
});

test("anything that is not ours is unexpected, its stack only shown on request", () => {
  expect(describeError(new TypeError("x is undefined"), false)).toMatch(
    /^UNEXPECTED: x is undefined\nfix: .+report.+$/,
  );
  expect(describeError(new TypeError("x is undefined"), true)).toMatch(/\n {4}at /);
});

test("a bug of ours always shows its stack, and its cause on request", () => {
  const error = new BugError("IMPOSSIBLE", "that cannot be", { cause: new RangeError("below") });

  expect(describeError(error, false)).toMatch(
    /^IMPOSSIBLE: that cannot be\nfix: .+\nBugError: that cannot be\n {4}at /,
  );
  expect(describeError(error, false)).not.toContain("RangeError");
  expect(describeError(error, true)).toContain("caused by: RangeError: below");
});

test("no secret is in an error's lines", () => {
  rememberSecret("sw0rdfish-of-cli");
  const cause = new Error("password sw0rdfish-of-cli rejected");

  const text = describeError(new ConfigError("A", "postgres://a:pw@b/c", { hint: "sw0rdfish-of-cli", cause }), true);

  expect(text).not.toMatch(/sw0rdfish|:pw@/);
});
