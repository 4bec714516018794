// All that a full run prints, looked through for the secrets it was given: logs, errors, metrics, status, every command.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { readStream } from "../support/bus/stream-events.ts";
import { type CommandResult, runCommand } from "../support/process/run-command.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const secrets = {
  database: 'db-p@ss/w0rd "quoted" 100%',
  wrong: "wr0ng-p@ssword",
  bus: "bus-s3cret:with@signs",
  http: "http-t0ken-for-readers",
  mask: "mask-k3y-of-the-shop",
  row: "row-v4lue-of-a-customer",
};

/** Every form in which one could leak. */
const forms = Object.entries(secrets).flatMap(([name, secret]) =>
  [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), Buffer.from(secret).toString("base64")].map(
    (form) => [name, form] as const,
  ),
);

/** A handler that does what it should not: it logs its environment, and throws a row's value. */
const CARELESS = `
import { automation, collection } from "millrace";
const on = collection("shop", "public.orders").created();
export const careless = automation("careless", { on, start: "earliest", retry: { attempts: 2, min: 20, max: 50 } }, ({ event, log }) => {
  const { DATABASE_URL, NATS_URL, MILLRACE_HTTP_TOKEN, MASK_KEY } = process.env;
  log.warn("connecting to " + DATABASE_URL + " and " + NATS_URL, { token: MILLRACE_HTTP_TOKEN, nested: { key: MASK_KEY } });
  log.error(decodeURIComponent(new URL(DATABASE_URL).password) + " and " + decodeURIComponent(new URL(NATS_URL).password));
  throw new Error(event.after.note + " with " + DATABASE_URL);
});`;

function leaked(text: string): readonly string[] {
  return forms.flatMap(([name, form]) => {
    const at = text.indexOf(form);
    return at < 0 ? [] : `${name}: ${text.slice(Math.max(0, at - 100), at + 100)}`;
  });
}

/** Runs a command that does not end by itself until it has said that; resolves to all it said. */
async function runUntil(
  args: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
  pattern: RegExp,
  meanwhile?: () => Promise<unknown>,
): Promise<string> {
  const child = spawn(process.execPath, [inject("cliFile"), ...args], { cwd, env: { ...process.env, ...env } });
  onTestFinished(() => void child.kill("SIGKILL"));
  let said = "";
  for (const output of [child.stdout, child.stderr])
    output.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
  const look = async (): Promise<boolean> => {
    await meanwhile?.();
    return pattern.test(said);
  };
  await waitFor(look, { what: `${pattern} of ${args.join(" ")}`, timeoutMs: 60_000 });
  child.kill("SIGTERM");
  await once(child, "close");
  return said;
}

/** All that a bus holds: subjects, headers and bodies of every stream. */
async function readBus(url: string): Promise<string> {
  const nc = await connect({ servers: url });
  onTestFinished(() => nc.close());
  const { streams } = await jetstreamManager(nc);
  const texts: string[] = [];
  for (const name of await streams.names().next()) {
    const { state } = await streams.info(name);
    if (state.messages === 0) continue;
    const consumer = await jetstream(nc).consumers.get(name);
    for await (const message of await consumer.consume()) {
      texts.push(message.subject, message.headers?.toString() ?? "", message.string());
      if (message.seq >= state.last_seq) break;
    }
  }
  return texts.join("\n");
}

async function filesIn(directory: string): Promise<readonly string[]> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile());
  return Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name), "utf8")));
}

describe.skipIf(missing("postgres", "nats"))("the secrets of a full run", () => {
  test("stand in no log, error, metric, status or output of a command", { timeout: 240_000 }, async () => {
    await using database = await freshDatabase();
    await database.query(`create role keeper login superuser password '${secrets.database}'`);
    await database.query("create table orders(id int primary key, note text, address text)");
    const users = `{ user: worker, password: ${JSON.stringify(secrets.bus)} }, { user: all, password: all }`;
    const nats = await freshNats({ config: `authorization { users: [${users}] }\nno_auth_user: all` });
    const databaseUrl = (password: string): string =>
      database.url.replace("postgres@", `keeper:${encodeURIComponent(password)}@`);
    const natsUrl = (password: string): string => nats.url.replace("//", `//worker:${encodeURIComponent(password)}@`);
    const config = {
      bus: { servers: { env: "NATS_URL" }, fsync: "always" },
      sources: {
        shop: {
          kind: "postgres",
          url: { env: "DATABASE_URL" },
          maskKey: { env: "MASK_KEY" },
          tables: [{ match: "public.orders", mask: { address: "hash" } }],
        },
      },
      // What a handler throws may hold a row's values: who must not log them says so.
      log: { events: true, messages: false },
      automations: "automations/*.mjs",
    };
    const env = {
      DATABASE_URL: databaseUrl(secrets.database),
      NATS_URL: natsUrl(secrets.bus),
      MILLRACE_HTTP_TOKEN: secrets.http,
      MASK_KEY: secrets.mask,
    };
    const outputs: string[] = [];
    const keep = ({ stdout, stderr }: CommandResult): void => void outputs.push(stdout, stderr);
    const cwd = await scratchDir();
    await mkdir(join(cwd, "automations"));
    await writeFile(join(cwd, "automations/careless.mjs"), CARELESS);
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
    await using worker = await WorkerProcess.start(
      { ...config, automations: `${cwd}/automations/*.mjs` },
      { args: ["--verbose"], env },
    );
    const read = async (path: string): Promise<Response> =>
      fetch(worker.httpUrl + path, { headers: { authorization: `Bearer ${secrets.http}` } });
    const readKept = async (): Promise<void> => {
      for (const path of ["/healthz", "/readyz", "/metrics", "/api/status"])
        outputs.push(await (await read(path)).text());
    };
    const readyIs = (status: number): Promise<unknown> =>
      waitFor(async () => (await read("/readyz").catch(() => undefined))?.status === status, {
        what: `/readyz to be ${status}`,
      });

    // All well, and a row.
    await readyIs(200);
    await database.query("insert into orders values (1, $1, $1)", [secrets.row]);
    await waitFor(
      async () => (await (await read("/metrics")).text()).includes('transactions_published_total{source="shop"} 1'),
      {
        what: "the row to be published",
      },
    );
    await waitFor(() => worker.log().includes("automation_dead_letter"), { what: "the handler to give up" });
    // The event itself is in its dead letter, with the row; the error that is kept beside it holds no secret of ours.
    const letters = await readStream(nats.url.replace("//", "//all:all@"), "MILLRACE_DEAD");
    const ownSecrets = leaked(letters.map(({ text }) => text).join("\n")).filter((leak) => !leak.startsWith("row"));
    expect([letters.length, ownSecrets]).toEqual([1, []]);
    await readKept();
    const at = { ...env, MILLRACE_HTTP: new URL(worker.httpUrl).host };
    const commands = [
      "check",
      "check --json",
      "slots",
      "slots --json",
      "slots drop millrace_shop",
      "slots drop nobody --yes",
      "source remove shop",
      "source remove shop --stream --json",
      "types",
      "types --check",
      "status",
      "status --json",
      "verify shop --json",
      "verify shop --tables",
      ...["role", "publication", "outbox", "inbox", "event-triggers"].map((what) => `sql ${what}`),
    ];
    for (const command of commands) keep(await runCommand(command.split(" "), { cwd, env: at }));
    keep(await runCommand(["status"], { cwd, env: { ...at, MILLRACE_HTTP_TOKEN: secrets.wrong } }));
    const beginner = await scratchDir();
    keep(await runCommand(["init", "--url", env.DATABASE_URL], { cwd: beginner, env: at }));
    const written = await filesIn(beginner);
    expect(written.length).toBeGreaterThan(2);
    outputs.push(...written, ...(await filesIn(join(cwd, "millrace-types"))));
    const elsewhere = { cwd, env: { ...env, MILLRACE_HTTP: "127.0.0.1:0" } };
    // It tells of what comes after it has begun, so something must come until it does.
    const write = () => database.query("update orders set note = $1 || clock_timestamp() where id = 1", [secrets.row]);
    outputs.push(await runUntil(["tail", "shop"], elsewhere, /orders.updated/, write));
    outputs.push(await runUntil(["dev"], elsewhere, /source_waiting_for_lease/));

    // The servers away, and back.
    await nats.stop();
    await readyIs(503);
    await readKept();
    await nats.restart();
    await readyIs(200);
    await database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'millrace%'",
    );
    await waitFor(() => worker.log().includes("source_retrying"), {
      what: "the source to try again",
    });
    await readKept();

    // What is refused: a password of the bus, a database that is not there, a configuration that is wrong.
    const wrong = [
      { ...at, NATS_URL: natsUrl(secrets.wrong) },
      { ...at, DATABASE_URL: databaseUrl(secrets.database).replace(/[^/]+$/, "nowhere") },
      { ...at, DATABASE_URL: databaseUrl(secrets.database).replace("postgres://", "postgre://") },
      { ...at, DATABASE_URL: databaseUrl(secrets.database).replace(/:\d+\//, ":1/") },
    ];
    for (const environment of wrong) keep(await runCommand(["check"], { cwd, env: environment }));
    keep(await runCommand(["--verbose", "verify", "shop"], { cwd, env: wrong[0] ?? {} }));
    expect(await worker.stop()).toBe(0);
    outputs.push(worker.log());
    const { row, ...others } = secrets;
    const onBus = await readBus(nats.url);
    expect(onBus).toContain(row); // a stream holds rows, and so does the dead letter of one
    expect(leaked(onBus).filter((leak) => Object.keys(others).some((name) => leak.startsWith(`${name}: `)))).toEqual(
      [],
    );

    const all = outputs.join("\n");
    expect(outputs.filter((output) => output !== "").length).toBeGreaterThan(20);
    expect(all).toContain("postgres://keeper:[redacted]@"); // it speaks of them
    expect(leaked(all)).toEqual([]);
  });
});
