// What a user of a MongoDB source can have wrong, by the built command: two lines, the right exit code, and nothing changed on the
// server or on the bus; only a server that is away is waited for.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { MongoClient } from "mongodb";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { startSecantus } from "../../../src/dev/secantus.ts";
import { Certificates } from "../../support/certificates.ts";
import { freshMongoDatabase, freshSecantus, type MongoDatabase } from "../../support/mongodb/mongo-servers.ts";
import { foreignMongo } from "../../support/mongodb/mongo-target.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

let nats: NatsServer;
beforeAll(async () => {
  nats = await freshNats();
});

async function streams(): Promise<readonly string[]> {
  const nc = await connect({ servers: nats.url });
  const names = await (await jetstreamManager(nc)).streams.names().next();
  await nc.close();
  return names.sort();
}

type Section = Readonly<Record<string, unknown>>;

async function run(section: Section): Promise<CommandResult> {
  const before = await streams();
  const cwd = await scratchDir();
  const config = { bus: { servers: nats.url }, sources: { shop: { kind: "mongodb", database: "shop", ...section } } };
  await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
  const result = await runCommand(["run"], { cwd, env: { MILLRACE_HTTP: "127.0.0.1:0" } });
  expect(await streams()).toEqual(before);
  return result;
}

function expectRefusal({ code, stdout, stderr }: CommandResult, error: string, fix: RegExp): void {
  const said = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
  expect(said).toEqual([expect.stringMatching(`^${error}: .`), expect.stringMatching(/^fix: ./)]);
  expect(said[1]).toMatch(fix);
  expect([code, stdout]).toEqual([2, ""]);
}

const own = foreignMongo === undefined; // what follows needs servers of its own

describe.skipIf(missing("mongodb", "nats"))("`run` of a MongoDB source refuses, and changes nothing:", () => {
  async function shop(): Promise<MongoDatabase & { readonly section: Section }> {
    const database = await freshMongoDatabase();
    onTestFinished(() => database[Symbol.asyncDispose]());
    await database.db.createCollection("orders");
    return { ...database, section: { url: database.url, database: database.name } };
  }

  test("a url of another kind, and one that names neither database nor databases", async () => {
    expectRefusal(await run({ url: "postgres://127.0.0.1/shop" }), "CONFIG_INVALID", /./);
    expectRefusal(await run({ url: "mongodb://127.0.0.1/", database: undefined }), "CONFIG_INVALID", /./);
    expectRefusal(await run({ url: "mongodb://127.0.0.1/", databases: ["a"] }), "CONFIG_INVALID", /./);
  });

  test("an option that the driver does not know, and a password that is not encoded, which is not printed", async () => {
    expectRefusal(await run({ url: "mongodb://127.0.0.1/?replicaSett=rs0" }), "URL_INVALID", /option url/);
    const result = await run({ url: "mongodb://worker:wr0ng@secret/word@127.0.0.1/" });
    expectRefusal(result, "URL_INVALID", /percent-encoded/);
    expect(result.stderr).not.toContain("wr0ng");
  });

  test("a collection that is not there, and says how it is made; one with * waits for what comes", async () => {
    const { section } = await shop();

    expectRefusal(await run({ ...section, collections: ["ordres"] }), "COLLECTION_NOT_FOUND", /createCollection/);
  });

  test("images that are asked for and that no collection stores, with the command that turns them on", async () => {
    const { section, db } = await shop();
    const images = { before: "stored", after: "stored" };
    const before = await db.listCollections().toArray();

    expectRefusal(
      await run({ ...section, images }),
      "IMAGES_NOT_STORED",
      /collMod: "orders", changeStreamPreAndPostImages: \{ enabled: true \}/,
    );
    expect(await db.listCollections().toArray()).toEqual(before);
  });

  test.skipIf(!own)("a standalone server", async () => {
    const { url } = await freshSecantus({ standalone: true });

    expectRefusal(await run({ url }), "NO_REPLICA_SET", /--replSet .+rs\.initiate\(\)/);
  });

  test.skipIf(!own)(
    "a wrong password, which is not printed, no user at all, and a user that may not read",
    async () => {
      const dataDir = await scratchDir();
      const open = await startSecantus({ dataDir });
      const admin = new MongoClient(open.url);
      await admin.db("admin").command({ createUser: "worker", pwd: "right-one", roles: [] });
      await admin.close();
      await open.kill();
      const { url, kill } = await startSecantus({ dataDir, auth: true });
      onTestFinished(() => kill());
      const as = (user: string): Section => ({ url: url.replace("//", `//${user}@`) });

      const wrong = await run(as("worker:wr0ngsecret"));
      expectRefusal(wrong, "AUTH_FAILED", /user, password and authSource/);
      expect(wrong.stderr).not.toContain("wr0ngsecret");
      expectRefusal(await run({ url }), "AUTH_FAILED", /user, password and authSource/);
      expectRefusal(await run(as("worker:right-one")), "PERMISSION_MISSING", /`millrace sql role`/);
    },
  );

  test.skipIf(!own)(
    "TLS that the other end does not have, wants, or that is not trusted; with the right authority it is read",
    async () => {
      const directory = await scratchDir();
      const certificates = new Certificates(directory);
      const ca = certificates.selfSigned("ca");
      const tls = certificates.signed(ca, "server", "IP:127.0.0.1");
      const { url } = await freshSecantus({ tls });
      const plain = await freshMongoDatabase();
      onTestFinished(() => plain[Symbol.asyncDispose]());

      expectRefusal(await run({ url }), "TLS_MISMATCH", /tls=true/);
      expectRefusal(await run({ url: `${plain.url}&tls=true` }), "TLS_MISMATCH", /tls=false/);
      expectRefusal(await run({ url: `${url}&tls=true` }), "TLS_UNTRUSTED", /tlsCAFile/);
      const trusted = `${url}&tls=true&tlsCAFile=${encodeURIComponent(ca.cert)}`;
      expectRefusal(await run({ url: trusted, collections: ["none"] }), "COLLECTION_NOT_FOUND", /./);
    },
  );

  test.skipIf(!own)("but a server that is away it waits for, red with the reason, and goes on by itself", async () => {
    const server = await freshSecantus();
    await server.kill();
    const worker = await WorkerProcess.start({
      bus: { servers: nats.url, fsync: "always" },
      sources: { away: { kind: "mongodb", url: server.url, database: "shop" } },
    });
    onTestFinished(() => worker[Symbol.asyncDispose]());
    const part = async (): Promise<unknown> => {
      const answer = await fetch(`${worker.httpUrl}/readyz`).catch(() => undefined);
      return ((await answer?.json()) as { parts: { id: string }[] } | undefined)?.parts.find(({ id }) => id === "away");
    };
    await waitFor(async () => JSON.stringify(await part())?.includes("SOURCE_UNREACHABLE"), { what: "the reason" });
    expect(await part()).toMatchObject({ ready: false, code: "SOURCE_UNREACHABLE" });
    await server.restart();

    await waitFor(async () => JSON.stringify(await part())?.includes('"ready":true'), {
      what: "it to go on",
    });
    expect(await worker.stop()).toBe(0);
  });
});
