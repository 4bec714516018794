// As whom, and over which TLS, the bus is reached: each way that a nats-server knows, right and wrong, on a real one.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { nkeys } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { Connection } from "../../../src/bus/jetstream/client/connection.ts";
import { checkBus } from "../../../src/bus/jetstream/commands/check-bus.ts";
import { resolveBusConfig } from "../../../src/config/resolve.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Finding } from "../../../src/telemetry/finding.ts";
import { type Logger, silentLogger } from "../../../src/telemetry/logger.ts";
import { bareNats, startBareNats } from "../../support/bus/bare-nats.ts";
import { natsOperator } from "../../support/bus/nats-operator.ts";
import { Certificates } from "../../support/certificates.ts";
import { freshDatabase, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const JETSTREAM = "jetstream { store_dir: $DIR }";

/** Connects as a configuration says, and asks JetStream. */
async function reach(bus: object, environment: Record<string, string> = {}): Promise<string> {
  const access = resolveBusConfig({ bus }, environment).access.reveal();
  const connection = await Connection.open({ ...access, log: silentLogger, signal: AbortSignal.timeout(20_000) });
  await using _ = connection;
  return connection.nc.info?.version ?? "";
}

const VERSION = /^2\.\d+\.\d+/;
const token = { env: "TOKEN" };

describe.skipIf(missing("nats"))("a nats-server lets in", () => {
  test("a user with a password", async () => {
    const host = await bareNats(`${JETSTREAM}\nauthorization { user: "mill:race", password: "p@ss:w/rd %" }`);
    const credentials = { user: "mill:race", password: { env: "PASSWORD" } };

    expect(await reach({ servers: host, credentials }, { PASSWORD: "p@ss:w/rd %" })).toMatch(VERSION);
    await expect(reach({ servers: host, credentials }, { PASSWORD: "wrong" })).rejects.toMatchObject({
      name: "ConfigError",
      code: "BUS_AUTH",
      message: expect.stringContaining(host),
      hint: expect.stringContaining("bus.credentials"),
    });
    await expect(reach({ servers: host })).rejects.toMatchObject({ code: "BUS_AUTH" });
  });

  test("a token", async () => {
    const host = await bareNats(`${JETSTREAM}\nauthorization { token: "s3cr3t-t0ken" }`);

    expect(await reach({ servers: host, credentials: { token } }, { TOKEN: "s3cr3t-t0ken" })).toMatch(VERSION);
    await expect(reach({ servers: host, credentials: { token } }, { TOKEN: "wrong" })).rejects.toMatchObject({
      code: "BUS_AUTH",
    });
  });

  test("an NKey by its seed", async () => {
    const user = nkeys.createUser();
    const seed = (pair: typeof user): string => new TextDecoder().decode(pair.getSeed());
    const host = await bareNats(`${JETSTREAM}\nauthorization { users: [ { nkey: ${user.getPublicKey()} } ] }`);
    const bus = { servers: host, credentials: { nkey: { env: "SEED" } } };

    expect(await reach(bus, { SEED: seed(user) })).toMatch(VERSION);
    await expect(reach(bus, { SEED: seed(nkeys.createUser()) })).rejects.toMatchObject({ code: "BUS_AUTH" });
    const wrong = reach(bus, { SEED: "SUNOSEED-NOSEED-NOSEED" });
    await expect(wrong).rejects.toMatchObject({ name: "ConfigError", code: "BUS_CREDENTIALS" });
    await expect(wrong).rejects.not.toMatchObject({ message: expect.stringContaining("NOSEED") });
  });

  test("a user of an operator by a .creds file", async () => {
    const { config, creds } = natsOperator();
    const host = await bareNats(`${JETSTREAM}\n${config}`);
    const file = join(await scratchDir(), "worker.creds");
    await writeFile(file, creds);

    expect(await reach({ servers: host, credentials: { file } })).toMatch(VERSION);
    await writeFile(file, natsOperator().creds);
    await expect(reach({ servers: host, credentials: { file } })).rejects.toMatchObject({ code: "BUS_AUTH" });
    await writeFile(file, "no credentials");
    await expect(reach({ servers: host, credentials: { file } })).rejects.toMatchObject({ code: "BUS_CREDENTIALS" });
    await expect(reach({ servers: host, credentials: { file: `${file}.gone` } })).rejects.toMatchObject({
      code: "BUS_CREDENTIALS",
      message: expect.stringContaining("worker.creds.gone"),
    });
  });
});

describe.skipIf(missing("nats"))("TLS with a nats-server", () => {
  test("is trusted by the authority of bus.tls.ca alone, and for the host's name", async () => {
    const certificates = new Certificates(await scratchDir());
    const ca = certificates.selfSigned("ca");
    const { cert, key } = certificates.signed(ca, "server");
    const host = await bareNats(`${JETSTREAM}\ntls { cert_file: "${cert}", key_file: "${key}" }`);
    const named = host.replace("127.0.0.1", "localhost");

    expect(await reach({ servers: named, tls: { ca: ca.cert } })).toMatch(VERSION);
    const wrong = [
      { servers: named },
      { servers: named, tls: {} },
      { servers: named, tls: { ca: certificates.selfSigned("other").cert } },
    ];
    for (const bus of wrong) {
      await expect(reach(bus)).rejects.toMatchObject({
        name: "ConfigError",
        code: "BUS_TLS",
        message: expect.stringContaining(named),
      });
    }
    await expect(reach({ servers: named, tls: { ca: "/nowhere/ca.pem" } })).rejects.toMatchObject({
      code: "BUS_TLS_FILE",
      message: expect.stringContaining("/nowhere/ca.pem"),
    });
  });

  test("is refused for the certificate of another name", async () => {
    const certificates = new Certificates(await scratchDir());
    const ca = certificates.selfSigned("ca");
    const { cert, key } = certificates.signed(ca, "server", "DNS:elsewhere.example");
    const host = await bareNats(`${JETSTREAM}\ntls { cert_file: "${cert}", key_file: "${key}" }`);

    await expect(
      reach({ servers: host.replace("127.0.0.1", "localhost"), tls: { ca: ca.cert } }),
    ).rejects.toMatchObject({
      code: "BUS_TLS",
      message: expect.stringContaining("elsewhere.example"),
    });
  });

  test("with a server that verifies needs a certificate of this client", async () => {
    const certificates = new Certificates(await scratchDir());
    const ca = certificates.selfSigned("ca");
    const server = certificates.signed(ca, "server");
    const { cert, key } = certificates.signed(ca, "worker");
    const stranger = certificates.selfSigned("stranger");
    const files = `cert_file: "${server.cert}", key_file: "${server.key}", ca_file: "${ca.cert}", verify: true`;
    const servers = (await bareNats(`${JETSTREAM}\ntls { ${files} }`)).replace("127.0.0.1", "localhost");

    expect(await reach({ servers, tls: { ca: ca.cert, cert, key } })).toMatch(VERSION);
    await expect(reach({ servers, tls: { ca: ca.cert } })).rejects.toMatchObject({
      code: "BUS_TLS",
      hint: expect.stringContaining("bus.tls.cert"),
    });
    const hints: unknown[] = [];
    const log: Logger = { ...silentLogger, warn: (_event, fields) => void hints.push(fields?.hint) };
    const access = resolveBusConfig({ bus: { servers, tls: { ca: ca.cert, ...stranger } } }, {}).access.reveal();
    const stop = new AbortController();
    const refused = Connection.open({ ...access, log, signal: stop.signal });
    await waitFor(() => hints.length > 0, { what: "the reason" });
    stop.abort();
    await expect(refused).rejects.toThrow();
    expect(hints).toEqual([expect.stringContaining("ca_file has not signed")]);
    await expect(reach({ servers, tls: { ca: ca.cert, cert, key: stranger.key } })).rejects.toMatchObject({
      code: "BUS_TLS_FILE",
    });
  });

  test.each([{ tls: {} }, {}])("is insisted on by %j and a tls:// url", async (more) => {
    const host = await bareNats(JETSTREAM);
    const servers = "tls" in more ? host : `tls://${host}`;

    await expect(reach({ servers, ...more })).rejects.toMatchObject({
      code: "BUS_TLS",
      message: expect.stringContaining("the server takes none"),
    });
  });
});

describe.skipIf(missing("nats", "postgres"))("a worker", () => {
  test("publishes over TLS as a user of an operator, and still does after the server took both anew", async () => {
    await using database = await freshDatabase();
    await database.query("create table orders(id int primary key)");
    const directory = await scratchDir();
    const certificates = new Certificates(directory);
    const ca = certificates.selfSigned("ca");
    const { cert, key } = certificates.signed(ca, "server");
    const { config, creds } = natsOperator();
    const file = join(directory, "worker.creds");
    await writeFile(file, creds);
    const text = (jwts: string): string => `${JETSTREAM}\ntls { cert_file: "${cert}", key_file: "${key}" }\n${jwts}`;
    const server = await startBareNats(text(config));
    const bus = {
      servers: server.host.replace("127.0.0.1", "localhost"),
      credentials: { file },
      tls: { ca: ca.cert },
    };
    const lines: Record<string, unknown>[] = [];
    const line =
      (level: string): Logger["info"] =>
      (event, fields = {}) =>
        void lines.push({ level, event, ...fields });
    const log = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
    const worker = await startWorker(
      { bus, sources: { shop: { kind: "postgres", url: database.url } }, log: { level: "info" } },
      { log, timing: { lagEveryMs: 50 } },
    );
    onTestFinished(() => worker.stop());
    const published = (): number => worker.status().sources[0]?.published ?? 0;
    await waitFor(() => worker.status().ready, { what: "the source to be read" });

    await database.query("insert into orders values (1)");
    await waitFor(() => published() === 1, { what: "the first row" });

    await waitFor(() => lines.some(({ event }) => event === "source_progress"), {
      what: "the line of where it stands",
    });
    expect(lines.filter(({ event }) => event === "source_progress")).toEqual([
      expect.objectContaining({
        level: "info",
        source: "shop",
        sequence: expect.any(Number),
        unconfirmedBytes: expect.any(Number),
      }),
    ]);
    expect(lines.map(({ level }) => level)).not.toContain("debug");
  });
});

describe.skipIf(missing("nats"))("while no server answers", () => {
  const away = async (): Promise<string> => `127.0.0.1:${await freePort()}`;

  test("the log names which, without what is secret in its url", async () => {
    const host = await away();
    const said: (string | undefined)[] = [];
    const warn: Logger["warn"] = (_event, _fields, text) => void said.push(text);
    const access = resolveBusConfig({ bus: { servers: `nats://me:hunter2secret@${host}` } }, {}).access.reveal();

    const opening = Connection.open({
      ...access,
      log: { ...silentLogger, warn },
      signal: AbortSignal.timeout(700),
      retryMs: 50,
    });

    await expect(opening).rejects.toMatchObject({ name: "TimeoutError" });
    expect(said).toEqual([expect.stringContaining(`nats://${host}`)]);
    expect(said.join()).not.toContain("hunter2secret");
  });

  test("check names which, without what is secret in its url", async () => {
    const host = await away();
    const found: Finding[] = [];
    const servers = [`nats://me:hunter2secret@${host}`];
    const options = { servers, replicas: 1, fsync: 120_000, sources: ["shop" as SourceId] };
    for await (const finding of checkBus({ ...options, signal: new AbortController().signal })) found.push(finding);

    expect(found).toEqual([
      expect.objectContaining({ code: "BUS_UNREACHABLE", message: `no answer from nats://${host} within 5 s` }),
    ]);
  });
});
