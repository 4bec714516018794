// Every command of our pages as it stands there: each block on a ground of its own, with a worker, a stream and a dead letter;
// those that only look at it have one together.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { PostgresServer } from "../../../src/dev/postgres.ts";
import { toError } from "../../../src/errors.ts";
import { natsCli } from "../bus/nats-cli.ts";
import { readStream } from "../bus/stream-events.ts";
import { type Database, freshDatabase, freshNats, freshPostgres, missing, scratchDir } from "../servers.ts";
import { waitFor } from "../wait-for.ts";
import { runCommand } from "./run-command.ts";
import { WorkerProcess } from "./worker-process.ts";

interface Block {
  readonly name: string;
  readonly lines: readonly string[];
}

/** All blocks of commands, without comments; what they are about is the page. */
const blocks: readonly Block[] = readdirSync("docs", { recursive: true, encoding: "utf8" })
  // Those are about other databases: their commands are tried by test/integration/cli/mongodb-commands.test.ts and dynamodb-commands.test.ts.
  .filter((name) => name.endsWith(".md") && !/^connectors\/(mongodb|dynamodb)\.md$/.test(name))
  .sort()
  .flatMap((name) => {
    const found = [...readFileSync(join("docs", name), "utf8").matchAll(/```sh\n(.*?)```/gs)];
    return found.map(([, block = ""], nth) => ({
      name: `docs/${name}, block ${nth + 1}`,
      lines: block
        .replaceAll(/ \\\n\s*/g, " ")
        .split("\n")
        .map((line) => line.replace(/(^|\s+)#.*$/, ""))
        .filter((line) => line !== ""),
    }));
  });

/** What goes on until it is interrupted. */
const GOES_ON = /millrace (run|tail)|--watch/;
/** What takes something away that a worker uses: a person stops it first. */
const TAKES_AWAY = /(drop|remove) .*--yes|^nats \w+ (rm|rmm|del|purge)/;
/** What asks first, and says elsewhere than on a terminal that it needs to be told. */
const ASKS = /millrace (slots drop|source remove|erase) (?!.*--yes)/;

/** What leaves all as it finds it. */
const LOOKS =
  /^(npx millrace (status|slots|check|verify|log|dead show|sql)\b(?! drop|.*--watch)|nats (stream|consumer) (info|get) )/;

/** The nats command was understood: what it is about is not on this ground, or it wants a terminal to ask on. */
const NOTHING_THERE = /^nats: error: .*(not found|no message found|without a terminal)/m;

const AUTOMATION = `
import { automation, collection } from "millrace";
const on = collection("shop", "public.orders").created();
export const mail = automation("mail", { on }, ({ fatal }) => {
  throw fatal("no such address");
});
export const ship = automation("ship", { on, order: "key", onExhausted: "block" }, ({ fatal }) => {
  throw fatal("no such carrier");
});
`;

/** @param isMeant whose commands: by a page's path below `docs`. The pages are shared out among files, which run side by side. */
export function testDocumentedCommands(isMeant: (page: string) => boolean): void {
  const meant = blocks.filter(({ name }) => isMeant(name.replace(/^docs\//, "")));
  describe.skipIf(missing("postgres", "nats"))("every command is right", () => testBlocks(meant));
}

function testBlocks(meant: readonly Block[]): void {
  /** Undefined where the nats command cannot be had: then its lines are left out, and that is said. */
  let natsDir: string | undefined;

  beforeAll(async () => {
    try {
      natsDir = await natsCli();
    } catch (error) {
      console.error(`skipping the commands of nats: ${toError(error).message.slice(0, 200)}`);
    }
  }, 420_000);

  interface Furnished {
    readonly database: Database;
    readonly worker: WorkerProcess;
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
    /** Of what became a dead letter, and keeps its key from going on. */
    readonly event: { readonly id: string; readonly sequence: number };
  }
  type Ground = Furnished & AsyncDisposable;

  async function ground(server?: PostgresServer): Promise<Ground> {
    const database = await freshDatabase(server);
    const workers: WorkerProcess[] = [];
    const end = async (): Promise<void> => {
      for (const worker of workers) await worker.kill();
      await database[Symbol.asyncDispose](); // with its slot
    };
    try {
      return { ...(await furnished(database, workers)), [Symbol.asyncDispose]: end };
    } catch (error) {
      await end(); // its slot would be in the way of all that come behind it
      throw error;
    }
  }

  /** @param workers takes the one that it starts */
  async function furnished(database: Database, workers: WorkerProcess[]): Promise<Furnished> {
    const [nats, cwd] = [await freshNats(), await scratchDir()];
    await database.query("create table orders (id int primary key, status text)");
    const bin = join(cwd, "bin");
    await mkdir(bin);
    await writeFile(join(bin, "npx"), `#!/bin/sh\nshift\nexec "${process.execPath}" "${inject("cliFile")}" "$@"\n`);
    await chmod(join(bin, "npx"), 0o755);
    const configuration = {
      bus: { servers: { env: "NATS_URL" } },
      sources: { shop: { kind: "postgres", url: { env: "DATABASE_URL" }, tables: ["public.*"], outbox: true } },
      automations: "./automations/*.mjs",
    };
    const urls = { DATABASE_URL: database.url, NATS_URL: nats.url };
    const path = [bin, ...(natsDir === undefined ? [] : [natsDir]), process.env.PATH].join(delimiter);
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(configuration));
    await mkdir(join(cwd, "automations"));
    await writeFile(join(cwd, "automations/mail.mjs"), AUTOMATION);
    await writeFile(join(cwd, "tracing.mjs"), ""); // which SDK is registered there is the reader's
    const outbox = await runCommand(["sql", "outbox"], { cwd, env: urls });
    await database.query(outbox.stdout);
    const worker = await WorkerProcess.start(configuration, { directory: cwd, env: urls });
    workers.push(worker);
    await worker.logged("automation_started", ({ source }) => source === "shop"); // once the slot is there, unlike "_retry"
    await database.query("insert into orders values (1, 'new')");
    const { sequence } = await worker.logged("automation_dead_letter");
    const event = (await readStream(nats.url, "CDC_SHOP")).find((one) => one.sequence === sequence);
    return {
      event: { id: event?.header("ce-id") ?? expect.unreachable(), sequence: Number(sequence) },
      ...{ database, worker, cwd },
      env: { ...urls, PATH: path },
    };
  }

  /** With what a reader puts in place of what stands in brackets. */
  function filledIn(line: string, worker: WorkerProcess, { event }: Ground): string {
    return line
      .replace(/log shop\.\S+/, `log ${event.id}`)
      .replace(/log CDC_SHOP:\d+/, `log CDC_SHOP:${event.sequence}`)
      .replace("log receipt", "log mail")
      .replace("public.orders/42", "public.orders/1")
      .replace("dead show 17", "dead show 1")
      .replace("dead drop 17", "dead drop 2") // the one that its replay has left
      .replaceAll("<STREAM>", "CDC_SHOP")
      .replaceAll("<automation>", "mail")
      .replaceAll("<pid>", String(worker.pid))
      .replace(/drop NAME$/, "drop millrace_shop")
      .replace(/MILLRACE_DEAD \d+$/, "MILLRACE_DEAD 1")
      .replace(/erase shop \d+$/, "erase shop 4");
  }

  interface Ended {
    readonly code: number | null;
    readonly said: string;
  }

  /** Runs it to its end; what goes on is interrupted once it has said something. */
  async function run(line: string, { database, cwd, env }: Ground, worker: WorkerProcess): Promise<Ended> {
    // It asks on a terminal; here there is none.
    const asking = /^nats \w+ (rm|rmm|del|purge)/.test(line) ? `${line} --force` : line;
    const child = spawn("bash", ["-c", asking], {
      cwd,
      env: { ...process.env, ...env, MILLRACE_HTTP: new URL(worker.httpUrl).host },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
    }
    if (GOES_ON.test(line)) {
      const begun = /millrace run/.test(line) ? /source_started/ : /./;
      const look = async (): Promise<boolean> => {
        if (/millrace tail/.test(line)) await database.query("insert into orders select max(id) + 1 from orders");
        return begun.test(said) || child.exitCode !== null;
      };
      await waitFor(look, { what: `a word of ${line}: ${said}` });
      child.kill("SIGINT");
    }
    if (child.exitCode === null) await once(child, "close");
    return { code: child.exitCode, said };
  }

  let shared: Promise<Ground> | undefined;
  const sharedGround = (): Promise<Ground> => (shared ??= freshPostgres().then(ground)); // a server has one slot of a name
  afterAll(async () => (await shared)?.[Symbol.asyncDispose]());

  test.each(meant)("$name", async ({ lines }) => {
    await using own = lines.every((line) => LOOKS.test(line)) ? undefined : await ground();
    const here = own ?? (await sharedGround());
    let worker = here.worker;
    for (const documented of lines) {
      const line = filledIn(documented, worker, here);
      if (line.startsWith("nats ") && natsDir === undefined) continue;
      if (line.startsWith("aws ")) {
        console.error(`not run, for there is no AWS here: ${line}`);
        continue;
      }
      const keys = () => runCommand(["automations", "keys", "ship", "--json"], here);
      const letters = () => worker.logLines().filter((one) => one.event === "automation_dead_letter");
      if (/keys ship --/.test(line))
        await waitFor(async () => (await keys()).stdout.includes("public.orders/1"), {
          what: "a key that stands still",
        });
      if (line.includes("dead drop 2"))
        await waitFor(() => letters().length === 2, { what: "the letter of the replay" });
      const isRun = /millrace run/.test(line);
      if (isRun || TAKES_AWAY.test(line)) await worker.stop();
      const ended = await run(line, here, worker);
      const code = ASKS.test(line) ? 2 : ended.code === 1 && NOTHING_THERE.test(ended.said) ? 1 : 0;
      expect({ line, ...ended }).toEqual({ line, code, said: ended.said });
      // It goes on, for what is run beside it.
      if (isRun) worker = await worker.again();
      if (isRun) await waitFor(async () => (await fetch(`${worker.httpUrl}/readyz`)).ok, { what: "the worker" });
    }
    if (own !== undefined) await worker.kill();
  });
}
