// Why a running worker cannot get back onto the bus, whatever the reason: it is named in the bus' part while it lasts, and in the
// log once; the process goes on, and once the reason is gone all that was committed meanwhile is handled, once.

import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { automation } from "../../../src/automation/define/automation.ts";
import { orders } from "../../support/automations.ts";
import { startBareNats } from "../../support/bus/bare-nats.ts";
import { countMessages } from "../../support/bus/count-messages.ts";
import { oldNats } from "../../support/bus/old-nats.ts";
import { type Certificate, Certificates } from "../../support/certificates.ts";
import { RecordedLog } from "../../support/postgres/recorded-log.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

/** What a server can be told to be. */
class Ground {
  readonly certificates: Certificates;
  readonly ca: Certificate;
  readonly right: Certificate;
  /** The files that the server's configuration names: they are overwritten. */
  readonly used: Certificate;

  constructor(directory: string) {
    this.certificates = new Certificates(directory);
    this.ca = this.certificates.selfSigned("ca");
    this.right = this.certificates.signed(this.ca, "server");
    this.used = { cert: join(directory, "used.crt"), key: join(directory, "used.key") };
  }

  async use({ cert, key }: Certificate): Promise<void> {
    await copyFile(cert, this.used.cert);
    await copyFile(key, this.used.key);
  }

  config({ tls = "", users = USER, account = "", jetstream = "enabled" }: Partial<Words> = {}): string {
    const { cert, key } = this.used;
    const secure = tls === "none" ? "" : `tls { cert_file: "${cert}", key_file: "${key}" ${tls} }`;
    return `jetstream { store_dir: $DIR }
      ${secure}
      accounts { APP: { jetstream: ${jetstream}, users: [ ${users} ] ${account} } }`;
  }
}

interface Words {
  /** More within the block, or `none`. */
  readonly tls: string;
  readonly users: string;
  readonly account: string;
  readonly jetstream: string;
}

const USER = "{ user: worker, password: secret }";

interface Case {
  readonly what: string;
  readonly code: string;
  readonly reason: RegExp;
  /** Other files in place of the server's; undefined: the right ones. */
  /** Whether the worker has a certificate of its own. */
  readonly client?: boolean;
  readonly certificate?: (ground: Ground) => Certificate;
  readonly words?: (ground: Ground) => Partial<Words>;
}

const cases: readonly Case[] = [
  {
    what: "its certificate is another authority's",
    code: "BUS_TLS",
    reason: /unable to verify the first certificate|unable to get local issuer certificate/,
    certificate: ({ certificates }) => certificates.signed(certificates.selfSigned("stranger"), "of-a-stranger"),
  },
  {
    what: "its certificate is signed by itself",
    code: "BUS_TLS",
    reason: /self-signed certificate/,
    certificate: ({ certificates }) => certificates.selfSigned("itself"),
  },
  {
    what: "its certificate has expired",
    code: "BUS_TLS",
    reason: /certificate has expired/,
    certificate: ({ certificates, ca }) => certificates.signed(ca, "expired", "DNS:localhost", -1),
  },
  {
    what: "its certificate is for another name",
    code: "BUS_TLS",
    reason: /elsewhere\.example/,
    certificate: ({ certificates, ca }) => certificates.signed(ca, "elsewhere", "DNS:elsewhere.example"),
  },
  {
    what: "it takes no TLS",
    code: "BUS_TLS",
    reason: /the server takes none/,
    words: () => ({ tls: "none" }),
  },
  {
    what: "it asks for a certificate of the client",
    code: "BUS_TLS",
    reason: /asks for a certificate of this client/,
    words: ({ ca }) => ({ tls: `, ca_file: "${ca.cert}", verify: true` }),
  },
  {
    what: "its user is gone",
    code: "BUS_AUTH",
    reason: /Authorization Violation/i,
    words: () => ({ users: "{ user: another, password: secret }" }),
  },
  {
    what: "its user has another password",
    code: "BUS_AUTH",
    reason: /Authorization Violation/i,
    words: () => ({ users: "{ user: worker, password: changed }" }),
  },
  {
    what: "its account takes no more connections",
    code: "BUS_LIMIT_REACHED",
    reason: /maximum account active connections exceeded/i,
    words: () => ({ account: ", limits: { max_connections: 0 }" }),
  },
  {
    what: "the client's certificate is none of its authority",
    code: "BUS_TLS",
    reason: /unknown ca/,
    client: true,
    words: ({ certificates }) => ({ tls: `, ca_file: "${certificates.selfSigned("stranger").cert}", verify: true` }),
  },
  {
    what: "its account has no JetStream",
    code: "JETSTREAM_OFF",
    reason: /without JetStream/,
    words: () => ({ jetstream: "disabled" }),
  },
];

describe.skipIf(missing("postgres", "nats"))("a server that turns a running worker away", () => {
  test.each(cases.map((one) => [one.what, one] as const))("because %s", async (_, one) => {
    const { code, reason, client = false, certificate, words } = one;
    const ground = new Ground(await scratchDir());
    await ground.use(ground.right);
    const server = await startBareNats(ground.config());
    const database = await freshDatabase();
    onTestFinished(() => database[Symbol.asyncDispose]());
    await database.query("create table orders(id int primary key, status text)");
    const insert = (from: number, to: number) =>
      database.query(`insert into orders select n, 'new' from generate_series(${from}, ${to}) n`);
    const handled: number[] = [];
    const log = new RecordedLog();
    const mail = automation("mail", { on: orders.created(), start: "earliest" }, ({ event }) => {
      handled.push(Number(event.after.id));
    });
    const worker = await startWorker(
      {
        bus: {
          servers: server.host.replace("127.0.0.1", "worker:secret@localhost"),
          fsync: "always",
          tls: { ca: ground.ca.cert, ...(client ? ground.certificates.signed(ground.ca, "worker") : {}) },
        },
        sources: { shop: { kind: "postgres", url: database.url } },
        automations: [mail],
      },
      { log, timing: { idleCheckMs: 500 } },
    );
    onTestFinished(() => worker.stop());
    let ended = false;
    worker.finished.finally(() => (ended = true)).catch(() => {});
    await waitFor(() => worker.status().ready, { what: "all to run" });
    await insert(1, 10);
    await waitFor(() => worker.status().automations[0]?.handled === 10, { what: "the first orders" });

    if (certificate) await ground.use(certificate(ground));
    await server.restart(ground.config(words?.(ground)));
    await insert(11, 20);
    // A reset may overtake the server's word: that try is BUS_UNREACHABLE, and the next one asks again.
    const bus = await waitFor(
      () => worker.status().parts.find((part) => part.kind === "bus" && part.code === code && !part.ready),
      { what: `the reason ${code}` },
    );
    expect(bus.reason).toMatch(reason);
    expect(bus.reason).toMatch(/^(not )?connected: /);
    const said = log.lines.filter(({ level, event }) => level === "warn" && event === "bus_disconnected");
    expect(said.map(({ fields }) => fields.code).filter((each) => each !== "BUS_UNREACHABLE")).toEqual([
      undefined,
      code,
    ]);
    expect(JSON.stringify([bus, log.lines])).not.toContain("secret");

    await ground.use(ground.right);
    await server.restart(ground.config());
    await waitFor(() => worker.status().ready, { what: "all to run again", timeoutMs: 60_000 });
    await insert(21, 30);
    await waitFor(() => worker.status().automations[0]?.handled === 30, { what: "all orders" });
    expect(handled.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, at) => at + 1));
    expect(ended).toBe(false);
  });

  test("because it is older than any that can serve: nothing is sent to it", async () => {
    const nats = await freshNats();
    const database = await freshDatabase();
    onTestFinished(() => database[Symbol.asyncDispose]());
    await database.query("create table orders(id int primary key)");
    const worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url } },
    });
    onTestFinished(() => worker.stop());
    await waitFor(() => worker.status().ready, { what: "all to run" });
    // So that the table's description is on record: it is small state, and no event.
    await database.query("insert into orders values (0)");
    await waitFor(async () => (await countMessages(nats.url, "shop")).events === 1, { what: "the first row" });

    await nats.stop();
    const old = await oldNats("2.11.9", nats.port);
    await database.query("insert into orders select generate_series(1, 20)");
    const bus = await waitFor(() => worker.status().parts.find(({ code }) => code === "BUS_TOO_OLD"), {
      what: "the reason",
    });
    expect(bus).toMatchObject({
      kind: "bus",
      ready: false,
      reason: expect.stringContaining("not connected: BUS_TOO_OLD"),
    });
    await old[Symbol.asyncDispose]();
    expect(old.published()).toEqual([]);
    await nats.restart();
    await waitFor(() => worker.status().ready, { what: "all to run again", timeoutMs: 60_000 });
    await waitFor(async () => (await countMessages(nats.url, "shop")).events === 21, { what: "all rows, once" });
  });
});
