import { expect, test } from "vitest";
import { redact, rememberSecret, rememberUrlSecrets } from "../../../src/telemetry/redact.ts";

test("a password inside any url is redacted, known or not", () => {
  expect(redact("connect postgres://app:pw@db:5432/shop failed")).toBe(
    "connect postgres://app:[redacted]@db:5432/shop failed",
  );
  expect(redact("postgres://app:p@ss@db/shop")).toBe("postgres://app:[redacted]@db/shop");
  expect(redact("postgres://db/shop?user=a&password=hunter22&x=1")).toBe(
    "postgres://db/shop?user=a&password=[redacted]&x=1",
  );
  expect(redact("nats://s3cr3t@host:4222")).toBe("nats://[redacted]@host:4222");
  expect(redact("postgres://app@db/shop")).toBe("postgres://app@db/shop");
});

test("a loaded url's password is redacted wherever it stands, in every form", () => {
  rememberUrlSecrets("postgres://app:tr%40nsl%22ated@db/shop");

  expect(redact('said: tr@nsl"ated')).toBe("said: [redacted]");
  expect(redact(JSON.stringify({ said: 'tr@nsl"ated' }))).toBe('{"said":"[redacted]"}');
  expect(redact("said: tr%40nsl%22ated")).toBe("said: [redacted]");
});

test("a NATS token is a secret, a database's user name is none", () => {
  rememberUrlSecrets("nats://t0ken-of-nats@host");
  rememberUrlSecrets("postgres://application@db/shop");

  expect(redact("t0ken-of-nats application")).toBe("[redacted] application");
});

test("a password that is too short or repeats the user's name does not blot out other words", () => {
  rememberUrlSecrets("postgres://postgres:postgres@db/shop");
  rememberSecret("pw");

  expect(redact("kind postgres, pw")).toBe("kind postgres, pw");
});
