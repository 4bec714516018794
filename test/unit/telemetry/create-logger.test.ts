import { expect, test } from "vitest";
import { BugError, TransientError } from "../../../src/errors.ts";
import { createLogger } from "../../../src/telemetry/create-logger.ts";
import { atLevel, type LogLevel, logLevels, silentLogger } from "../../../src/telemetry/logger.ts";
import { rememberSecret } from "../../../src/telemetry/redact.ts";

function logger(options: { readonly level: "debug" | "info"; readonly pretty: boolean }) {
  const lines: string[] = [];
  return { lines, log: createLogger({ ...options, write: (line) => lines.push(line) }) };
}

test("a line is one JSON object with level, time, event, fields and text", () => {
  const { log, lines } = logger({ level: "info", pretty: false });

  log.warn("source_retrying", { source: "shop", delayMs: 5 }, "the bus is away");

  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      level: "warn",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.+Z$/),
      event: "source_retrying",
      source: "shop",
      delayMs: 5,
      msg: "the bus is away",
    },
  ]);
  expect(lines[0]?.endsWith("\n")).toBe(true);
});

test("on a terminal a line is for people", () => {
  const { log, lines } = logger({ level: "info", pretty: true });

  log.info("source_started", { source: "shop" }, "reading");

  expect(lines[0]).toMatch(/\d\d:\d\d:\d\d\.\d{3}.+INFO.+source_started reading.+"source":"shop"/);
});

test("debug lines appear only at level debug", () => {
  const quiet = logger({ level: "info", pretty: false });
  const loud = logger({ level: "debug", pretty: false });

  for (const { log } of [quiet, loud]) log.debug("source_notice");

  expect([quiet.lines.length, loud.lines.length]).toEqual([0, 1]);
});

test("of an error that is not ours only name and code are logged: its text may quote a row", () => {
  const { log, lines } = logger({ level: "info", pretty: false });
  const driver = Object.assign(new Error("Key (email)=(ann@example.org) exists"), { code: "23505", detail: "ann" });

  log.error("source_retrying", { error: new TransientError("SOURCE_AWAY", "lost", { hint: "wait", cause: driver }) });
  log.error("source_retrying", { error: driver });

  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    error: {
      name: "TransientError",
      code: "SOURCE_AWAY",
      message: "lost",
      hint: "wait",
      cause: { name: "Error", code: "23505" },
    },
  });
  expect(lines.join("")).not.toContain("ann");
});

test("only a BugError is logged with its stack", () => {
  const { log, lines } = logger({ level: "info", pretty: false });

  log.error("worker_stopped", { error: new BugError("BUG", "impossible") });
  log.error("worker_stopped", { error: new TransientError("AWAY", "gone") });

  expect(lines.map((line) => JSON.parse(line).error.stack !== undefined)).toEqual([true, false]);
});

test.each([false, true])("no secret is in a line, pretty: %s", (pretty) => {
  const { log, lines } = logger({ level: "info", pretty });
  rememberSecret('hunter"22-secret');

  log.info("source_started", { deep: { url: "postgres://app:pw@db/x", said: 'hunter"22-secret' } }, 'hunter"22-secret');

  expect(lines.join("")).not.toMatch(/hunter|:pw@/);
  expect(lines.join("")).toContain("[redacted]");
});

test.each<readonly [LogLevel, readonly LogLevel[]]>([
  ["debug", ["debug", "info", "warn", "error"]],
  ["info", ["info", "warn", "error"]],
  ["warn", ["warn", "error"]],
  ["error", ["error"]],
])("at the level %s only these are logged: %j", (level, expected) => {
  const heard: LogLevel[] = [];
  const all = Object.fromEntries(logLevels.map((name) => [name, () => void heard.push(name)]));
  const log = atLevel({ ...silentLogger, ...all }, level);

  for (const name of logLevels) log[name]("source_started");

  expect(heard).toEqual(expected);
});
