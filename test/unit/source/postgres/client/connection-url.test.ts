// How a connection url is read: beside each is what libpq 18's own PQconninfoParse made of it.

import { userInfo } from "node:os";
import { describe, expect, test } from "vitest";
import { parseConnectionUrl } from "../../../../../src/source/postgres/client/connection-url.ts";
import { redact, rememberUrlSecrets } from "../../../../../src/telemetry/redact.ts";

test.each<[string, Readonly<Record<string, string>>]>([
  ["postgres://u:p@h:5433/db", { user: "u", password: "p", dbname: "db", host: "h", port: "5433" }],
  ["postgresql://u@h1:1,h2:2,h3/db", { user: "u", dbname: "db", host: "h1,h2,h3", port: "1,2," }],
  ["postgres://u@/db?host=/tmp&port=5433", { user: "u", dbname: "db", host: "/tmp", port: "5433" }],
  ["postgres://%2Fvar%2Flib:5444/db", { dbname: "db", host: "/var/lib", port: "5444" }],
  [
    "postgres://u%40x:p%3A%2F%25@[::1]:5433/a%20b",
    { user: "u@x", password: "p:/%", dbname: "a b", host: "::1", port: "5433" },
  ],
  ["postgres://[fe80::1%25eth0]/d", { dbname: "d", host: "fe80::1%eth0" }],
  ["postgres:///db", { dbname: "db" }],
  ["postgres://", {}],
  ["postgres://h?sslmode=require", { host: "h", sslmode: "require" }],
  ["postgres://u:@h:/db?", { user: "u", dbname: "db", host: "h" }],
  ["postgres://:5433/db", { dbname: "db", port: "5433" }],
  ["postgres://u@h/d/e", { user: "u", dbname: "d/e", host: "h" }],
  ["postgres://a:b:c@h/d", { user: "a", password: "b:c", dbname: "d", host: "h" }],
  ["postgres://u@h/db?options=-c%20a%3Db+c", { user: "u", dbname: "db", host: "h", options: "-c a=b+c" }],
  ["postgres://u@h/db?user=v&password=w&dbname=x", { user: "v", password: "w", dbname: "x", host: "h" }],
  ["postgres://h1:5,h2:6/db?host=x,y", { dbname: "db", host: "x,y", port: "5,6" }],
])("%s is read as libpq reads it", (url, expected) => {
  expect(parseConnectionUrl(url, {}).parameters).toEqual(expected);
});

test.each<[string, readonly string[]]>([
  ["postgres://h1,h2:5/db", ["h1:5432", "h2:5"]],
  ["postgres://h1,h2/db?port=7", ["h1:7", "h2:7"]],
  ["postgres://h1,h2/db?port=7,8", ["h1:7", "h2:8"]],
  ["postgres://,h2/db", [":5432", "h2:5432"]],
])("%s names these hosts", (url, expected) => {
  expect(parseConnectionUrl(url, {}).hosts.map(({ host, port }) => `${host}:${port}`)).toEqual(expected);
});

test.each([
  ["mysql://h/db", /postgres:\/\//],
  ["postgres://u@h/db?sslmod=require", /"sslmod".*did you mean sslmode\?/],
  ["postgres://u@h/db?schema=public", /"schema"/],
  ["postgres://u@h/db?sslmode=no-verify", /^sslmode: expected disable, .* or verify-full$/],
  ["postgres://u@h/db?sslmode", /sslmode has no value/],
  ["postgres://u@h/db?connect_timeout=soon", /^connect_timeout: expected a number$/],
  ["postgres://u@h/db?sslrootcert=system&sslmode=require", /verify-full/],
  ["postgres://u@h/db?sslnegotiation=direct", /sslmode=require/],
  ["postgres://u@h/%zz", /%25/],
  ["postgres://u@h/%00", /database/],
  ["postgres://[::1/db", /\[::1\]:5432/],
  ["postgres://[]/db", /\[::1\]:5432/],
  ["postgres://h:x/db", /host:5432/],
  ["postgres://h:70000/db", /port/],
  ["postgres://h1,h2,h3/db?port=1,2", /3 hosts and 2 ports/],
])("%s is refused, and what is wrong is said", (url, message) => {
  expect(() => parseConnectionUrl(url, {})).toThrow(message);
});

test("a password is never part of what is said", () => {
  expect(() => parseConnectionUrl("postgres://u:hunter2secret@h:x/db", {})).toThrow(
    expect.not.objectContaining({ message: expect.stringContaining("hunter2secret") }),
  );
});

describe("what a url leaves out", () => {
  test("comes from libpq's variables", () => {
    const place = parseConnectionUrl("postgres:///", {
      PGHOST: "db1,db2",
      PGPORT: "6000",
      PGUSER: "app",
      PGDATABASE: "shop",
      PGSSLMODE: "verify-full",
      PGTARGETSESSIONATTRS: "primary",
    });

    expect(place).toMatchObject({
      hosts: [
        { host: "db1", port: 6000 },
        { host: "db2", port: 6000 },
      ],
      user: "app",
      database: "shop",
      parameters: { sslmode: "verify-full", target_session_attrs: "primary" },
    });
  });

  test("is not overruled by them where the url says it", () => {
    const { parameters } = parseConnectionUrl("postgres://u:p@h/db?sslmode=require", {
      PGPASSWORD: "other",
      PGSSLMODE: "disable",
    });

    expect(parameters).toMatchObject({ password: "p", sslmode: "require" });
  });

  test("is refused by the variable's name where that is wrong", () => {
    expect(() => parseConnectionUrl("postgres://u@h/db", { PGSSLMODE: "always" })).toThrow(/^PGSSLMODE: expected/);
  });

  test("is the user of this machine, and a database of his name", () => {
    const { username } = userInfo();

    expect(parseConnectionUrl("postgres://h", {})).toMatchObject({ user: username, database: username });
  });
});

test("the password of a url with several hosts is a secret wherever it stands", () => {
  rememberUrlSecrets("postgres://app:q9-Zebra%2Fsalt@db1:5432,db2:5433/shop?sslmode=require");

  expect(redact("it was q9-Zebra/salt, or q9-Zebra%2Fsalt")).toBe("it was [redacted], or [redacted]");
});
