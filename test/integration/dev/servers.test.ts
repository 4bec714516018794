// The embedded servers: they start, keep their data, freeze, die with their parent, and say what is wrong.

import { execFile } from "node:child_process";
import { chown, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { startNats } from "../../../src/dev/nats-server.ts";
import { startPostgres } from "../../../src/dev/postgres.ts";
import { openToOthers } from "../../../src/dev/shared-dir.ts";
import { ConfigError } from "../../../src/errors.ts";
import { freshDatabase, freshNats, freshPostgres, missing, scratchDir } from "../../support/servers.ts";

describe.skipIf(missing("postgres"))("Postgres", () => {
  test("is ready for logical replication, in UTF-8, and listens on loopback alone", async () => {
    await using database = await freshDatabase();

    const rows =
      await database.query(`select current_setting('wal_level') as wal, current_setting('listen_addresses') as at,
      current_setting('server_encoding') as encoding, current_setting('unix_socket_directories') as sockets`);

    expect(rows).toEqual([{ wal: "logical", at: "127.0.0.1", encoding: "UTF8", sockets: "" }]);
  });

  test("takes settings over its own", async () => {
    const server = await freshPostgres({ max_replication_slots: "3" });
    await using database = await freshDatabase(server);

    expect(await database.query("show max_replication_slots")).toEqual([{ max_replication_slots: "3" }]);
  });

  test("keeps its data and its port over a restart, a crash and a new start on the same directory", async () => {
    const dataDir = join(await scratchDir(), "postgres");
    const first = await startPostgres({ dataDir });
    const { port } = first;
    const database = await freshDatabase(first);
    await database.query("create table kept(n int)");

    await first.restart();
    await database.query("insert into kept values (1)");
    await first.kill("SIGKILL");
    await first.restart();
    await first.stop();
    await using second = await startPostgres({ dataDir, port });

    expect(await database.query("select n from kept")).toEqual([{ n: 1 }]);
    expect(second.url).toBe(first.url);
  });

  test("answers nothing while frozen, and everything afterwards", async () => {
    const server = await freshPostgres();
    await using database = await freshDatabase(server);
    await database.query("select 1");

    server.pause();
    let answered = false;
    const answer = database.query<{ two: number }>("select 2 as two").then((rows) => {
      answered = true;
      return rows;
    });
    await connected(server.port);
    const whileFrozen = answered;
    server.resume();

    expect(whileFrozen).toBe(false);
    expect(await answer).toEqual([{ two: 2 }]);
  });

  test("leaves no half-made directory behind", async () => {
    const dir = await scratchDir();
    await using server = await startPostgres({ dataDir: join(dir, "postgres") });

    expect(await readdir(dir)).toEqual(["postgres"]);
    expect(await readFile(join(server.dataDir, "server.log"), "utf8")).toContain("ready to accept connections");
  });

  test("a start that fails tells the end of the log and where the log is", async () => {
    const dataDir = join(await scratchDir(), "postgres");

    const failure = await startPostgres({ dataDir, settings: { max_connections: "none" } }).catch((error) => error);

    expect(failure).toBeInstanceOf(ConfigError);
    expect(failure.message).toContain('invalid value for parameter "max_connections"');
    expect(failure.hint).toContain(join(dataDir, "server.log"));
  });

  test.skipIf(process.getuid?.() !== 0)("root's data goes where an unprivileged user can reach it", async () => {
    const closed = join(await scratchDir(), "closed");
    await mkdir(closed, { mode: 0o700 });

    await using server = await startPostgres({ dataDir: join(closed, "postgres") });
    await server.stop();
    await using again = await startPostgres({ dataDir: join(closed, "postgres") });

    await again.stop();
    await rm(again.dataDir, { recursive: true });
    expect(server.dataDir).not.toContain(closed);
    expect(again.dataDir).toBe(server.dataDir);
  });
});

describe.skipIf(missing("postgres") || process.getuid?.() !== 0 || !openToOthers(process.cwd()))(
  "an ordinary user",
  () => {
    test("starts Postgres as itself", async () => {
      const dir = await scratchDir();
      await chown(dir, 65534, 65534);
      const script = `
      import { statSync } from "node:fs";
      import { startPostgres } from ${JSON.stringify(resolve("src/dev/postgres.ts"))};
      const server = await startPostgres({ dataDir: ${JSON.stringify(join(dir, "postgres"))} });
      console.log(statSync(server.dataDir).uid);
      await server.stop();`;

      const { stdout } = await promisify(execFile)(
        process.execPath,
        ["--import", "tsx", "--input-type=module", "--eval", script],
        { uid: 65534, gid: 65534, env: { ...process.env, HOME: dir, TMPDIR: dir } },
      );

      expect(stdout.trim()).toBe("65534");
    });
  },
);

describe.skipIf(missing("nats"))("nats-server", () => {
  test("keeps its streams over a restart, a crash and a freeze", async () => {
    await using nats = await freshNats();
    const connection = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 20 });
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: "KEPT", subjects: ["kept"] });
    await jetstream(connection).publish("kept", "1");
    const back = async (): Promise<void> => {
      for await (const status of connection.status()) if (status.type === "reconnect") return;
    };

    for (const fault of [() => nats.restart(), () => nats.kill().then(() => nats.restart())]) {
      const reconnected = back();
      await fault();
      await reconnected;
    }
    nats.pause();
    const frozen = manager.streams.info("KEPT");
    nats.resume();

    expect((await frozen).state.messages).toBe(1);
    await connection.close();
  });

  test("syncs every write unless told otherwise, and takes lines of configuration", async () => {
    await using usual = await freshNats();
    await using other = await freshNats({ syncInterval: "2m", config: "max_payload: 4096" });
    const connection = await connect({ servers: other.url });

    expect(await readFile(join(usual.dataDir, "nats.conf"), "utf8")).toContain("sync_interval: always");
    expect(await readFile(join(other.dataDir, "nats.conf"), "utf8")).toContain("sync_interval: 2m");
    expect(connection.info?.max_payload).toBe(4096);
    await connection.close();
  });

  test("a start that fails tells the end of the log and where the log is", async () => {
    const dataDir = join(await scratchDir(), "nats");

    const failure = await startNats({ dataDir, config: "no_such_option: 1" }).catch((error) => error);

    expect(failure).toBeInstanceOf(ConfigError);
    expect(failure.message).toContain("no_such_option");
    expect(failure.hint).toContain(join(dataDir, "server.log"));
  });
});

/** The kernel accepts a connection for a frozen server: time in which it could have answered. */
async function connected(port: number): Promise<void> {
  const socket = createConnection(port, "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.destroy();
}
