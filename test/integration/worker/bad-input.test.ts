// What a user can have wrong: two lines, the right exit code, and nothing changed in the database or on the bus.
// (The command is built for tests that use support/worker-process.ts.)

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { bareNats } from "../../support/bus/bare-nats.ts";
import { oldNats } from "../../support/bus/old-nats.ts";
import { startPooler } from "../../support/postgres/pooler.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { type Database, freshDatabase, freshNats, freshPostgres, missing, scratchDir } from "../../support/servers.ts";

interface Shop {
  readonly bus?: Readonly<Record<string, unknown>>;
  readonly source?: Readonly<Record<string, unknown>>;
  /** The source's id. */
  readonly id?: string;
}

describe.skipIf(missing("postgres", "nats"))("`run` refuses, and changes nothing:", () => {
  let database: Database;
  let nats: NatsServer;

  beforeAll(async () => {
    database = await freshDatabase();
    nats = await freshNats();
    await database.query("create table item(id int primary key)");
  });
  afterAll(() => database[Symbol.asyncDispose]());

  /** All that a start could leave behind. */
  const traces = async (): Promise<readonly unknown[]> => {
    const nc = await connect({ servers: nats.url });
    const streams = await (await jetstreamManager(nc)).streams.names().next();
    await nc.close();
    return [
      streams.sort(),
      await database.query("select slot_name::text from pg_replication_slots where database = current_database()"),
      await database.query("select pubname::text from pg_publication"),
      await database.query("select schemaname::text, tablename::text from pg_tables where schemaname !~ '^(pg_|info)'"),
    ];
  };

  const run = async ({ bus, source, id = "shop" }: Shop): Promise<CommandResult> => {
    const before = await traces();
    const cwd = await scratchDir();
    const config = {
      bus: { servers: nats.url, ...bus },
      sources: { [id]: { kind: "postgres", url: database.url, ...source } },
    };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
    const result = await runCommand(["run"], { cwd, env: { MILLRACE_HTTP: "127.0.0.1:0" } });
    expect(await traces()).toEqual(before);
    return result;
  };

  const expectRefusal = ({ code, stdout, stderr }: CommandResult, error: string, fix: RegExp): void => {
    const said = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
    expect(said).toEqual([expect.stringMatching(`^${error}: .`), expect.stringMatching(/^fix: ./)]);
    expect(said[1]).toMatch(fix);
    expect([code, stdout]).toEqual([2, ""]);
  };

  test("an unknown key of the configuration, and says which one may be meant", async () => {
    expectRefusal(await run({ bus: { fsnyc: "always" } }), "CONFIG_UNKNOWN_KEY", /fsync/);
    expectRefusal(await run({ source: { tabels: ["public.*"] } }), "CONFIG_UNKNOWN_KEY", /tables/);
  });

  test("a value of the wrong type", async () => {
    expectRefusal(await run({ source: { tables: 5 } }), "CONFIG_INVALID", /./);
    expectRefusal(await run({ bus: { replicas: "3" } }), "CONFIG_INVALID", /./);
  });

  test("a variable that the environment lacks", async () => {
    expectRefusal(await run({ source: { url: { env: "NO_SUCH_URL" } } }), "ENV_MISSING", /NO_SUCH_URL/);
  });

  test("a wrong password, which is not printed", async () => {
    const rules = join(database.server.dataDir, "pg_hba.conf");
    await writeFile(rules, `host all guarded 127.0.0.1/32 scram-sha-256\n${await readFile(rules, "utf8")}`);
    await database.query("create role guarded login replication password 'right'");
    await database.query("select pg_reload_conf()");
    const result = await run({ source: { url: database.url.replace("postgres@", "guarded:wr0ngsecret@") } });

    expectRefusal(result, "AUTH_FAILED", /password/);
    expect(result.stderr).not.toContain("wr0ngsecret");
  });

  test("a database that does not exist", async () => {
    const url = database.url.replace(/\/\w+$/, "/nowhere");

    expectRefusal(await run({ source: { url } }), "DATABASE_MISSING", /url/);
  });

  test("a database whose wal_level is not logical", async () => {
    const { url } = await freshPostgres({ wal_level: "replica" });

    expectRefusal(await run({ source: { url } }), "WAL_LEVEL_NOT_LOGICAL", /ALTER SYSTEM SET wal_level = 'logical'/);
  });

  test("a table that is not there", async () => {
    expectRefusal(await run({ source: { tables: ["public.itme"] } }), "TABLES_MATCH_NOTHING", /pattern/);
  });

  test("a table whose rows cannot be told apart", async () => {
    await database.query("create table bad(id int)");

    expectRefusal(await run({}), "TABLE_WITHOUT_IDENTITY", /REPLICA IDENTITY FULL/);
    await database.query("drop table bad");
  });

  test("a role that may not replicate, and one that may not make the publication", async () => {
    await database.query("create role plain login; create role least login replication");
    const as = (role: string): string => database.url.replace("postgres@", `${role}@`);

    expectRefusal(
      await run({ source: { url: as("plain") } }),
      "ROLE_NOT_REPLICATION",
      /ALTER ROLE "plain" REPLICATION;/,
    );
    expectRefusal(
      await run({ source: { url: as("least") } }),
      "PUBLICATION_MISSING",
      /CREATE PUBLICATION "millrace_shop" .+; ALTER PUBLICATION "millrace_shop" ADD TABLE ONLY "public"."item";$/,
    );
  });

  test("a publication that makes the application's own updates fail", async () => {
    await database.query("create table noted(id int primary key, note text)");
    await database.query("create publication filtered for table noted where (note <> 'x')");
    const filtered = { publication: "filtered", tables: ["public.noted"] };

    expectRefusal(await run({ source: filtered }), "ROW_FILTER_OFF_KEY", /REPLICA IDENTITY FULL/);
    await database.query("create publication listed for table noted (note)");
    const listed = { publication: "listed", tables: ["public.noted"] };
    expectRefusal(
      await run({ source: listed }),
      "COLUMN_LIST_LACKS_KEY",
      /ALTER PUBLICATION "listed" ADD TABLE ONLY "public"\."noted" \("note", "id"\);/,
    );
    // Beside a column list FULL would be refused.
    const again =
      /^fix: BEGIN; ALTER PUBLICATION "filtered" DROP .+; ALTER PUBLICATION "filtered" ADD TABLE ONLY "public"\."noted"; COMMIT;/;
    expectRefusal(await run({ source: filtered }), "ROW_FILTER_OFF_KEY", again);
  });

  test("a publication of somebody else that lacks a table, or the roots of partitions", async () => {
    await database.query("create table parts(id int primary key) partition by range (id)");
    await database.query("create publication other for table item; create publication split for table parts");

    const other = { publication: "other", tables: ["public.item", "public.parts"] };
    expectRefusal(await run({ source: other }), "PUBLICATION_LACKS_TABLES", /ADD TABLE .*"parts"/);
    const split = { publication: "split", tables: ["public.parts"] };
    expectRefusal(await run({ source: split }), "PUBLICATION_OF_PARTITIONS", /publish_via_partition_root = true/);
    await database.query("drop table parts");
  });

  test("a database whose texts have no encoding", async () => {
    await database.query("create database unencoded encoding 'SQL_ASCII' locale 'C' template template0");
    const url = database.url.replace(/\/\w+$/, "/unencoded");

    expectRefusal(await run({ source: { url } }), "ENCODING_UNKNOWN", /UTF8/);
    await database.query("drop database unencoded");
  });

  test("a pooler in front of the server", async () => {
    await using pooler = await startPooler(database.server.port);
    const url = database.url.replace(/:\d+\//, `:${pooler.port}/`);

    expectRefusal(await run({ source: { url } }), "POOLER_IN_THE_WAY", /direct connection/);
  });

  test("a server without a free slot", async () => {
    const { url } = await freshPostgres({ max_replication_slots: "0" });

    expectRefusal(await run({ source: { url } }), "SLOTS_EXHAUSTED", /ALTER SYSTEM SET max_replication_slots = \d/);
  });

  test("a server without a free walsender", async () => {
    const { url } = await freshPostgres({ max_wal_senders: "0" });

    expectRefusal(await run({ source: { url } }), "WALSENDERS_EXHAUSTED", /ALTER SYSTEM SET max_wal_senders = \d/);
  });

  test("a slot that is not on record", async () => {
    await database.query("select pg_create_logical_replication_slot('found_here', 'pgoutput')");

    expectRefusal(await run({ source: { slot: "found_here" } }), "SLOT_UNKNOWN", /--adopt/);
  });

  test("a server without JetStream", async () => {
    const servers = `nats://${await bareNats("")}`;

    expectRefusal(await run({ bus: { servers } }), "JETSTREAM_OFF", /-js/);
  });

  test("wrong credentials for the bus, which are not printed", async () => {
    const address = await bareNats("authorization { user: u, password: right }\njetstream { store_dir: $DIR }");
    const result = await run({ bus: { servers: `nats://u:wr0ngsecret@${address}` } });

    expectRefusal(result, "BUS_AUTH", /bus\.servers/);
    expect(result.stderr).not.toContain("wr0ngsecret");
  });

  test("a server before 2.12 (a double that sends the INFO of one)", async () => {
    await using old = await oldNats("2.11.9");

    expectRefusal(await run({ bus: { servers: old.url } }), "BUS_TOO_OLD", /2\.12/);
  });

  test("subjects that belong to another stream", async () => {
    const nc = await connect({ servers: nats.url });
    await (await jetstreamManager(nc)).streams.add({ name: "OTHERS", subjects: ["cdc.taken.public.>"] });
    await nc.close();

    expectRefusal(await run({ id: "taken" }), "BUS_SUBJECTS_TAKEN", /another id/);
  });

  test("more replicas than the bus has servers", async () => {
    expectRefusal(await run({ bus: { replicas: 3 } }), "BUS_TOO_FEW_SERVERS", /replicas/);
  });
});
