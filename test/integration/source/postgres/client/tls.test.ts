// Connections to a real Postgres as libpq makes them: sslmode with real certificates, passwords, sockets, several hosts.

import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Pool } from "pg";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { freePort } from "../../../../../src/dev/free-port.ts";
import type { PostgresServer } from "../../../../../src/dev/postgres.ts";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { clientConfig, Session } from "../../../../../src/source/postgres/client/session.ts";
import { findingsOf } from "../../../../support/postgres/findings.ts";
import { openShop, Reading } from "../../../../support/postgres/reader.ts";
import { type TlsPostgres, tlsPostgres } from "../../../../support/postgres/tls-postgres.ts";
import { freshPostgres, missing } from "../../../../support/servers.ts";
import { waitFor } from "../../../../support/wait-for.ts";

type Row = Record<string, unknown>;

async function ask<Answer extends Row>(url: string, sql: string): Promise<Answer> {
  await using session = new Session(clientConfig("shop" as SourceId, url));
  return (await session.query<Answer>(sql))[0] as Answer;
}

/** Several statements, one after the other: what each session may do. */
async function run(url: string, statements: readonly string[]): Promise<void> {
  await using session = new Session(clientConfig("shop" as SourceId, url));
  for (const statement of statements) await session.query(statement);
}

const WAY = "select ssl, client_dn from pg_stat_ssl where pid = pg_backend_pid()";

/** Whether the session has TLS. */
async function hasTls(url: string): Promise<boolean> {
  return (await ask<{ ssl: boolean }>(url, WAY)).ssl;
}

describe.skipIf(missing("postgres"))("a Postgres with TLS", () => {
  let tls: TlsPostgres;
  let plain: PostgresServer;
  const at = (query: string, { host = "localhost", user = "postgres", database = "postgres" } = {}): string =>
    `postgres://${user}@${host}:${tls.server.port}/${database}?${query}`;
  const file = (name: string): string => encodeURIComponent(join(tls.directory, name));

  beforeAll(async () => {
    [tls, plain] = await Promise.all([tlsPostgres(), freshPostgres({ default_transaction_read_only: "on" })]);
    const { certificates } = tls;
    const ca = { cert: join(tls.directory, "ca.crt"), key: join(tls.directory, "ca.key") };
    const other = certificates.selfSigned("other");
    certificates.encrypted(certificates.signed(ca, "certified"), "opensesame");
    certificates.signed(other, "stranger");
    await run(tls.server.url, [
      "create role scram login password 'p@ss:w/rd %'",
      "create role tlsonly login replication password 'hunter2secret'",
      "create role certified login replication",
      "create role plainonly login",
      "set password_encryption = md5",
      "create role md5 login password 'old'",
      "create table public.orders(id int primary key)",
    ]);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test.each([
    ["sslmode=disable", false],
    ["sslmode=allow", false],
    ["sslmode=prefer", true],
    ["", true],
    ["sslmode=require", true],
    ["ssl=true", true],
    ["sslmode=require&sslnegotiation=direct", true],
    ["sslmode=require&ssl_max_protocol_version=TLSv1.2", true],
  ])("%j of a certificate that nobody knows: TLS %s", async (query, expected) => {
    expect(await hasTls(at(query))).toBe(expected);
  });

  test("verify-full takes a certificate of the authority for the host's name", async () => {
    expect(await hasTls(at(`sslmode=verify-full&sslrootcert=${file("ca.crt")}`))).toBe(true);
  });

  test("verify-ca does not look at the host's name, and verify-full does", async () => {
    const host = "127.0.0.1";
    const root = `sslrootcert=${file("ca.crt")}`;

    expect(await hasTls(at(`sslmode=verify-ca&${root}`, { host }))).toBe(true);
    await expect(hasTls(at(`sslmode=verify-full&${root}`, { host }))).rejects.toMatchObject({
      code: "TLS_UNTRUSTED",
      message: expect.stringContaining("127.0.0.1"),
      hint: expect.stringContaining("sslmode=verify-ca"),
    });
  });

  test.each([
    ["verify-full", "other.crt"],
    ["verify-ca", "other.crt"],
    ["require", "other.crt"], // as libpq: with an authority given it is verify-ca
  ])("%s refuses the certificate of another authority", async (mode, root) => {
    await expect(hasTls(at(`sslmode=${mode}&sslrootcert=${file(root)}`))).rejects.toMatchObject({
      name: "ConfigError",
      code: "TLS_UNTRUSTED",
      message: expect.stringMatching(/^localhost:\d+: the server's TLS certificate is not trusted: /),
      hint: expect.stringContaining("sslrootcert"),
    });
  });

  test("verify-full without an authority goes by the system's, and so does sslrootcert=system", async () => {
    for (const query of ["sslmode=verify-full", "sslrootcert=system"]) {
      await expect(hasTls(at(query))).rejects.toMatchObject({ code: "TLS_UNTRUSTED" });
      vi.stubEnv("SSL_CERT_FILE", join(tls.directory, "ca.crt"));
      expect(await hasTls(at(query))).toBe(true);
      vi.unstubAllEnvs();
    }
  });

  test.each([
    ["sslmode=verify-ca", "sslrootcert"],
    ["sslmode=verify-full&sslrootcert=/nowhere/root.crt", "/nowhere/root.crt"],
    ["sslmode=require&sslcert=/nowhere/client.crt", "/nowhere/client.crt"],
  ])("%s is refused for the file that is missing", async (query, message) => {
    await expect(hasTls(at(query))).rejects.toMatchObject({
      name: "ConfigError",
      code: "TLS_FILE_UNUSABLE",
      message: expect.stringContaining(message),
    });
  });

  test("a file that is no certificate is refused, and not as a database that is away", async () => {
    writeFileSync(join(tls.directory, "text.crt"), "no certificate");
    const query = `sslmode=require&sslcert=${file("text.crt")}&sslkey=${file("certified.key")}`;

    await expect(hasTls(at(query))).rejects.toMatchObject({ code: "TLS_FILE_UNUSABLE" });
  });

  test("a server without TLS is refused by require, and taken by prefer", async () => {
    const url = (mode: string): string => `${plain.url}?sslmode=${mode}`;

    expect(await hasTls(url("prefer"))).toBe(false);
    await expect(hasTls(url("require"))).rejects.toMatchObject({
      name: "ConfigError",
      code: "TLS_MISSING",
      hint: expect.stringContaining("ssl = on"),
    });
  });

  test("prefer and allow come in the other way where pg_hba.conf refuses the first", async () => {
    expect(await hasTls(at("sslmode=prefer", { user: "plainonly" }))).toBe(false);
    expect(await hasTls(at("sslmode=allow", { user: "tlsonly:hunter2secret" }))).toBe(true);
  });

  test("a role that is refused with and without TLS hears both reasons", async () => {
    await expect(hasTls(at("sslmode=prefer", { user: "certified" }))).rejects.toMatchObject({
      code: "AUTH_FAILED",
      message: expect.stringMatching(/valid client certificate; .*no encryption/),
    });
  });

  test("check names TLS, and the way out", async () => {
    const findings = await findingsOf(at(`sslmode=verify-full&sslrootcert=${file("other.crt")}`));

    expect(findings.filter(({ level }) => level === "fail")).toEqual([
      expect.objectContaining({ code: "TLS_UNTRUSTED", fix: expect.stringContaining("docs/operations/tls.md") }),
    ]);
  });

  describe("a client's certificate", () => {
    const own = (): string => `sslcert=${file("certified.crt")}&sslkey=${file("certified.key")}`;

    test("lets its role in without a password", async () => {
      const url = at(`sslmode=require&${own()}`, { user: "certified" });

      expect(await ask(url, WAY)).toEqual({ ssl: true, client_dn: "/CN=certified" });
    });

    test("may have a key behind a password", async () => {
      const locked = `sslcert=${file("certified.crt")}&sslkey=${file("certified.key.locked")}`;

      expect(await hasTls(at(`sslmode=require&${locked}&sslpassword=opensesame`, { user: "certified" }))).toBe(true);
      await expect(hasTls(at(`sslmode=require&${locked}`, { user: "certified" }))).rejects.toMatchObject({
        code: "TLS_FILE_UNUSABLE",
        hint: expect.stringContaining("sslpassword"),
      });
    });

    test("that is missing is named as what the server wants", async () => {
      await expect(hasTls(at("sslmode=require", { user: "certified" }))).rejects.toMatchObject({
        code: "AUTH_FAILED",
        hint: expect.stringContaining("sslcert"),
      });
    });

    test("of an authority that the server does not know is refused as such", async () => {
      const stranger = `sslcert=${file("stranger.crt")}&sslkey=${file("stranger.key")}`;

      await expect(hasTls(at(`sslmode=require&${stranger}`, { user: "certified" }))).rejects.toMatchObject({
        code: "TLS_FAILED",
        hint: expect.stringContaining("ssl_ca_file"),
      });
    });

    test("is not used with a key that others may read", async () => {
      chmodSync(join(tls.directory, "stranger.key"), 0o644);
      const query = `sslmode=require&sslcert=${file("stranger.crt")}&sslkey=${file("stranger.key")}`;

      await expect(hasTls(at(query))).rejects.toMatchObject({
        code: "TLS_FILE_UNUSABLE",
        hint: expect.stringMatching(/^chmod 600 /),
      });
      chmodSync(join(tls.directory, "stranger.key"), 0o600);
    });
  });

  test.each([
    ["a certificate", "certified", () => `&sslcert=${file("certified.crt")}&sslkey=${file("certified.key")}`],
    ["a password", "tlsonly:hunter2secret", () => ""],
  ])("the log is read over TLS too, with %s", async (_, user, more) => {
    const role = user.split(":")[0];
    await run(tls.server.url, [
      `alter table public.orders owner to ${role}`,
      `grant create on database postgres to ${role}`,
      "delete from public.orders",
    ]);
    const url = at(`sslmode=verify-full&sslrootcert=${file("ca.crt")}${more()}`, { user });
    const source = await openShop(url, { options: { slot: `of_${role}`, publication: `of_${role}` } });
    const reading = new Reading(source);
    try {
      await run(tls.server.url, ["insert into public.orders values (7)"]);
      await waitFor(() => reading.bodies.length > 0, { what: "the row" });

      expect(reading.bodies.at(-1)).toMatchObject({ after: { id: 7 } });
      const ways =
        "select bool_and(ssl) as tls, count(*)::int as sessions from pg_stat_ssl natural join pg_stat_activity";
      expect(await ask(tls.server.url, `${ways} where usename = '${role}' and backend_type = 'walsender'`)).toEqual({
        tls: true,
        sessions: 1,
      });
    } finally {
      await reading.stop();
      await source[Symbol.asyncDispose]();
    }
  });

  test("the url of a source serves a pool of pg for tx as well", async () => {
    const root = `sslrootcert=${file("ca.crt")}`;
    const url = at(`sslmode=require&${root}&uselibpqcompat=true`);
    await using pool = Object.assign(new Pool({ connectionString: url }), {
      [Symbol.asyncDispose]: () => pool.end(),
    });

    expect((await pool.query(WAY)).rows[0]).toMatchObject({ ssl: true });
    expect(await hasTls(url)).toBe(true);
  });

  describe("a password", () => {
    const encoded = encodeURIComponent("p@ss:w/rd %");

    test("is read from the url percent-encoded, and a database's name as well", async () => {
      await run(tls.server.url, [`create database "a b/c?"`]);
      const url = at("", { user: `scram:${encoded}`, database: encodeURIComponent("a b/c?") });

      expect(await ask(url, "select current_user as who, current_database() as name")).toEqual({
        who: "scram",
        name: "a b/c?",
      });
    });

    test.each(["scram", "md5"])("that is missing is named as missing (%s)", async (user) => {
      vi.stubEnv("HOME", "/nowhere");

      await expect(hasTls(at("", { user }))).rejects.toMatchObject({
        name: "ConfigError",
        code: "AUTH_FAILED",
        message: `the server asks for the password of ${user}, and none is given`,
        hint: expect.stringContaining("PGPASSWORD"),
      });
    });

    test("is taken from PGPASSWORD", async () => {
      vi.stubEnv("PGPASSWORD", "p@ss:w/rd %");

      expect(await hasTls(at("", { user: "scram" }))).toBe(true);
    });

    test("is taken from the line of a password file that fits, and from no other", async () => {
      const path = join(tls.directory, "passwords");
      const { port } = tls.server;
      writeFileSync(path, `# all\nlocalhost:1:*:scram:no\nlocalhost:${port}:*:scram:p@ss\\:w/rd %\n*:*:*:*:no\n`);
      chmodSync(path, 0o600);

      expect(await hasTls(at(`passfile=${file("passwords")}`, { user: "scram" }))).toBe(true);
      await expect(hasTls(at(`passfile=${file("passwords")}`, { user: "tlsonly" }))).rejects.toMatchObject({
        message: expect.stringContaining("password authentication failed"),
      });
    });

    test("is not taken from a file that others may read", async () => {
      const path = join(tls.directory, "open");
      writeFileSync(path, "*:*:*:*:no\n");
      chmodSync(path, 0o644);

      await expect(hasTls(at(`passfile=${file("open")}`, { user: "scram" }))).rejects.toMatchObject({
        code: "AUTH_FAILED",
        hint: `chmod 600 ${path}`,
      });
    });

    test("is bound to the channel where the url asks for it, and never sent where that cannot be", async () => {
      const user = `scram:${encoded}`;

      expect(await hasTls(at("sslmode=require&channel_binding=require", { user }))).toBe(true);
      for (const [query, who] of [
        ["sslmode=disable&channel_binding=require", user],
        ["sslmode=require&channel_binding=require", "md5:old"],
        ["sslmode=require&channel_binding=require", "postgres"],
      ] as const) {
        await expect(hasTls(at(query, { user: who }))).rejects.toMatchObject({ code: "TLS_FAILED" });
      }
    });
  });

  test.each([
    ["in the parameter", () => `postgres://postgres@/postgres?host=${file("")}&port=${tls.server.port}`],
    ["as the host", () => `postgres://postgres@${file("")}:${tls.server.port}/postgres`],
    ["whatever sslmode says", () => `postgres://postgres@${file("")}:${tls.server.port}/postgres?sslmode=verify-full`],
  ])("a socket's directory may stand %s", async (_, url) => {
    expect(await ask(url(), "select inet_server_addr() as address")).toEqual({ address: null });
  });

  describe("several hosts", () => {
    const both = (query: string): string =>
      `postgres://postgres@127.0.0.1:${plain.port},localhost:${tls.server.port}/postgres?${query}`;
    const port = async (url: string): Promise<number> =>
      (await ask<{ port: number }>(url, "select inet_server_port() as port")).port;

    test("are tried in their order, and one that is away is passed over", async () => {
      const gone = await freePort();

      expect(await port(both(""))).toBe(plain.port);
      expect(await port(`postgres://postgres@127.0.0.1:${gone},127.0.0.1:${plain.port}/postgres`)).toBe(plain.port);
    });

    test("are chosen by target_session_attrs", async () => {
      expect(await port(both("target_session_attrs=read-write"))).toBe(tls.server.port);
      expect(await port(both("target_session_attrs=read-only"))).toBe(plain.port);
      expect(await port(both("target_session_attrs=primary"))).toBe(plain.port);
      expect(await port(both("target_session_attrs=prefer-standby"))).toBe(plain.port);
    });

    test("of which none fits are told one by one", async () => {
      const gone = await freePort();
      const url = `postgres://postgres@127.0.0.1:${gone},127.0.0.1:${plain.port}/postgres`;

      await expect(port(`${url}?target_session_attrs=read-write`)).rejects.toMatchObject({
        name: "TransientError",
        code: "SOURCE_UNREACHABLE",
        message: `127.0.0.1:${gone}: connect ECONNREFUSED 127.0.0.1:${gone}; 127.0.0.1:${plain.port}: it is read-only`,
        hint: expect.stringContaining("target_session_attrs=read-write"),
      });
    });

    test("are not gone through with a password that one of them refused", async () => {
      const url = at("", { user: "tlsonly:wrong" }).replace("@localhost", `@localhost:${tls.server.port},127.0.0.1`);

      await expect(port(url)).rejects.toMatchObject({
        code: "AUTH_FAILED",
        message: expect.stringContaining("password authentication failed"),
      });
    });
  });
});
