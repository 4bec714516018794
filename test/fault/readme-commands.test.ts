// The README's commands as they stand there, each in its order: from `npm ci` to a handled event, on servers that `dev` brings
// and on servers of one's own, with a role of least rights, a password and TLS.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { tlsPostgres } from "../support/postgres/tls-postgres.ts";
import { query } from "../support/process/dev-process.ts";
import { freshNats, missing, scratchDir } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

/** Debian's own tools are not on the path. */
const PATH = `${process.env.PATH}${delimiter}/usr/lib/postgresql/15/bin`;
/** An automation reads a source, whose slot is there by then; "_retry" is none. */
const LISTENS = /"event":"automation_started"[^\n]*"source":"(?!_retry)/;
const PASSWORD = "correct-horse-battery-staple";
const HBA = `
local all all trust
hostssl all millrace all scram-sha-256
host all millrace all reject
host all all all trust
`;

/** Whether psql, npm or openssl cannot be had; says so aloud. */
function lacksTools(): boolean {
  const absent = ["psql --version", "npm --version", "openssl version"].filter((line) => {
    try {
      execFileSync("bash", ["-c", line], { env: { ...process.env, PATH }, stdio: "ignore" });
      return false;
    } catch {
      return true;
    }
  });
  if (absent.length > 0) console.error(`skipping the README's commands: cannot run ${absent.join(", ")}`);
  return absent.length > 0;
}

/** The blocks of commands, by the line that each of them has. */
function block(having: string): string {
  const readme = readFileSync("README.md", "utf8");
  const found = [...readme.matchAll(/```sh\n(.*?)```/gs)]
    .map(([, text = ""]) => text)
    .filter((text) => text.includes(having));
  expect([having, found.length]).toEqual([having, 1]);
  return found[0] ?? "";
}

describe.skipIf(missing("postgres", "nats") || lacksTools())("whoever runs the README's commands", () => {
  /** Beside it the applications are made, as the README does. */
  let clone: string;
  const env: Record<string, string> = { ...process.env, PATH, MILLRACE_HTTP: "127.0.0.1:0" } as Record<string, string>;
  for (const name of ["DATABASE_URL", "NATS_URL", "NODE_ENV", "VITEST"]) delete env[name];

  const first = block("npx millrace dev\n");
  /** Installs, builds and packs the clone: what both need. */
  const pack = first.slice(0, first.indexOf("\n"));

  beforeAll(async () => {
    clone = join(await scratchDir(), "millrace");
    const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
      encoding: "utf8",
    });
    for (const file of files.split("\0").filter((name) => name !== "")) {
      mkdirSync(dirname(join(clone, file)), { recursive: true });
      cpSync(file, join(clone, file));
    }
    await ended(shell(pack));
  }, 600_000);

  const running: ChildProcess[] = [];
  afterEach(() => {
    for (const { pid } of running.splice(0)) {
      try {
        process.kill(-(pid ?? 0), "SIGKILL");
      } catch {} // it has ended
    }
  });

  /** Lines in one shell. Its own end is the last line's; `exec` makes a signal reach the command. */
  function shell(
    lines: string,
    more: Readonly<Record<string, string>> = {},
    cwd: string = clone,
  ): ChildProcess & { said: string } {
    const child = spawn("bash", ["-e", "-c", lines], {
      cwd,
      env: { ...env, ...more },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const shown = Object.assign(child, { said: "" });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        shown.said += text;
      });
    }
    running.push(child);
    return shown;
  }

  async function ended(child: ChildProcess & { said: string }): Promise<string> {
    if (child.exitCode === null) await once(child, "close");
    expect({ code: child.exitCode, said: child.said }).toMatchObject({ code: 0 });
    return child.said;
  }

  /** Ctrl-C, as a terminal sends it: to npx and to what it has started, which drains. */
  async function interrupted(child: ChildProcess & { said: string }): Promise<void> {
    process.kill(-(child.pid ?? 0), "SIGINT");
    await once(child, "close");
    expect(child.said).toContain('"event":"worker_stopped"');
  }

  /** Everything but the last line, which goes on; in the same directory and with the same variables. */
  function upTo(lines: string, last: string): string {
    expect(lines.trimEnd().endsWith(last)).toBe(true);
    return `${lines.slice(0, lines.lastIndexOf(last))}exec ${last}`;
  }

  const began = { timeoutMs: 240_000 };

  test("sees an event handled on servers that dev brings", { timeout: 600_000 }, async () => {
    const dev = shell(upTo(first.slice(pack.length), "npx millrace dev"));
    const urlOf = async (server: string): Promise<string> => {
      const line = new RegExp(`"event":"dev_server_started".*"server":"${server}".*"url":"([^"]+)"`);
      return waitFor(() => line.exec(dev.said)?.[1], { what: `${server} in:\n${dev.said}`, ...began });
    };
    const [url, natsUrl] = [await urlOf("postgres"), await urlOf("nats-server")];
    await waitFor(() => LISTENS.test(dev.said), { what: `the automation in:\n${dev.said}` });

    const here = block("millrace tail shop")
      .replace("postgres://postgres@127.0.0.1:15432/shop", url)
      .replace("nats://127.0.0.1:14222", natsUrl);
    const [insert = "", tail = ""] = here.split("\n");
    const events = shell(`exec ${tail.replace(/^(\S+) /, "env $1 ")}`, {}, join(dirname(clone), "first"));
    await waitFor(
      async () => {
        await ended(shell(insert));
        return events.said.includes("created");
      },
      { what: `an event in tail, which said:\n${events.said}`, timeoutMs: 60_000 },
    );
    await waitFor(() => /"event":"automation_log".*was created/.test(dev.said), { what: "the handler's line" });
    await interrupted(dev);
  });

  test("sees one on servers of their own, with a least-privilege role and a password, then with TLS", {
    timeout: 600_000,
  }, async () => {
    await using nats = await freshNats();
    const { server, directory } = await tlsPostgres(HBA);
    await query(server.url, "create table orders (id int primary key, status text)");
    const own = block('init --url "$ADMIN_URL"').replace("127.0.0.1:5432", new URL(server.url).host);
    const variables = { ADMIN_URL: server.url, PASSWORD, NATS_URL: nats.url };
    const plain = shell(upTo(own, "npx millrace run"), variables);
    await seesAnOrder(plain, 1);

    const encrypted = own
      .slice(own.indexOf("export DATABASE_URL"))
      .replace(new URL(server.url).host, `localhost:${new URL(server.url).port}`)
      .replace('/postgres"', `/postgres?sslmode=verify-full&sslrootcert=${join(directory, "ca.crt")}"`);
    await seesAnOrder(shell(upTo(encrypted, "npx millrace run"), variables, join(dirname(clone), "shop")), 2);

    async function seesAnOrder(worker: ChildProcess & { said: string }, id: number): Promise<void> {
      await waitFor(() => LISTENS.test(worker.said), {
        what: `a start in:\n${worker.said}`,
        ...began,
      });
      await query(server.url, `insert into orders values (${id}, 'new')`);
      await waitFor(() => /"event":"automation_log".*was created/.test(worker.said), {
        what: `the event in:\n${worker.said}`,
      });
      const sessions = await query(
        server.url,
        "select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'millrace'",
      );
      const [rights] = await query(
        server.url,
        "select rolsuper, rolreplication from pg_roles where rolname = 'millrace'",
      );
      expect([sessions, rights]).toEqual([[{ ssl: true }], { rolsuper: false, rolreplication: true }]);
      await interrupted(worker);
    }
  });
});
