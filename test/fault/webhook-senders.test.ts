// Who sends in the world: a real Alertmanager, rsyslog, curl, and `millrace report`, to a whole worker whose automations hear them.

import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { startWorker, type Worker } from "../../src/app.ts";
import { freePort } from "../../src/dev/free-port.ts";
import { programsInPath } from "../../src/dev/programs.ts";
import { automation, event, webhook } from "../../src/index.ts";
import { runCommand } from "../support/process/run-command.ts";
import { atEnd, freshNats, missing, scratchDir } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const run = promisify(execFile);
const ALERTS_TOKEN = "sec-alerts";
const EVENTS_TOKEN = "sec-events";

const [alertmanager] = programsInPath("prometheus-alertmanager");
if (alertmanager === undefined) console.error("skipping a test: there is no prometheus-alertmanager (Debian package)");
const [rsyslogd] = programsInPath("rsyslogd");
if (rsyslogd === undefined) console.error("skipping a test: there is no rsyslogd (Debian package rsyslog)");

describe.skipIf(missing("nats"))("a worker that receives", () => {
  let worker: Worker;
  let url: string;
  const heard: (readonly [string, unknown])[] = [];
  const heardOf = (name: string): unknown[] => heard.filter(([of]) => of === name).map(([, what]) => what);

  beforeAll(async () => {
    Object.assign(process.env, { ALERTS_TOKEN, EVENTS_TOKEN });
    const nats = await freshNats();
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    worker = await startWorker({
      ...{ bus: { servers: nats.url }, sources: {}, ingress: { port } },
      webhooks: { alerts: { provider: "alertmanager", bearer: { env: "ALERTS_TOKEN" } } },
      events: {
        token: { env: "EVENTS_TOKEN" },
        types: { "user.signed_in": { type: "object", properties: { user: { type: "string" } } } },
      },
      automations: [
        automation(
          "alerts",
          { on: webhook("alerts") },
          ({ event: { id, type, body } }) => void heard.push(["alert", { id, type, body }]),
        ),
        automation(
          "signed-in",
          { on: event("user.signed_in") },
          ({ event: { data } }) => void heard.push(["user", data]),
        ),
        automation(
          "failed",
          { on: event("system.script.failed") },
          ({ event: { data } }) => void heard.push(["script", data]),
        ),
      ],
    });
    await waitFor(() => worker.status().ready, { what: "the worker to be ready" });
  });
  afterAll(() => worker.stop());

  test.skipIf(alertmanager === undefined)("gets what Alertmanager fires and resolves, an event each", async () => {
    const directory = await scratchDir();
    const port = await freePort();
    const config = {
      route: { receiver: "millrace", group_wait: "0s", group_interval: "1s", repeat_interval: "1h" },
      receivers: [
        {
          name: "millrace",
          webhook_configs: [
            {
              url: `${url}/in/alerts`,
              send_resolved: true,
              http_config: { authorization: { credentials: ALERTS_TOKEN } },
            },
          ],
        },
      ],
    };
    await writeFile(join(directory, "alertmanager.yml"), JSON.stringify(config)); // JSON is YAML
    const child = spawn(
      alertmanager as string,
      [
        "--config.file=alertmanager.yml",
        "--storage.path=data",
        `--web.listen-address=127.0.0.1:${port}`,
        "--cluster.listen-address=",
      ],
      { cwd: directory, stdio: "ignore" },
    );
    atEnd(async () => void child.kill("SIGKILL"));
    const tell = async (alert: object): Promise<boolean> => {
      const labels = { alertname: "DiskFull", host: "db1" };
      const body = JSON.stringify([
        { labels, annotations: { summary: "98 %" }, startsAt: "2026-11-30T03:00:00Z", ...alert },
      ]);
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`http://127.0.0.1:${port}/api/v2/alerts`, { method: "POST", headers, body }).catch(
        () => undefined,
      );
      return answer?.ok === true;
    };
    await waitFor(() => tell({}), { what: "Alertmanager", timeoutMs: 60_000 });
    await waitFor(() => heardOf("alert").length === 1, { what: "the alert", timeoutMs: 60_000 });
    await waitFor(() => tell({ endsAt: "2026-11-30T03:01:00Z" }), { what: "Alertmanager" });
    await waitFor(() => heardOf("alert").length === 2, { what: "its end", timeoutMs: 60_000 });
    const body = { labels: { alertname: "DiskFull", host: "db1" }, annotations: { summary: "98 %" } };
    expect(heardOf("alert")).toEqual([
      {
        type: "firing",
        id: expect.stringMatching(/^alerts\.[0-9a-f]{16}\.firing\.2026-11-30T/),
        body: expect.objectContaining(body),
      },
      {
        type: "resolved",
        id: expect.stringMatching(/^alerts\.[0-9a-f]{16}\.resolved\.2026-11-30T/),
        body: expect.objectContaining(body),
      },
    ]);
  });

  test("takes a typed event from curl, and refuses one without the token", async () => {
    const curl = (...more: readonly string[]) =>
      run("curl", [
        "-s",
        "-w",
        " %{http_code}",
        "-H",
        "content-type: application/json",
        ...more,
        `${url}/events/user.signed_in`,
      ]);
    const taken = await curl("-H", `authorization: Bearer ${EVENTS_TOKEN}`, "-d", '{"user":"ada"}');
    expect(taken.stdout).toBe('{"status":"accepted"} 200');
    const refused = await curl("-d", '{"user":"eve"}');
    expect(refused.stdout).toBe('{"status":"refused","reason":"token"} 401');
    await waitFor(() => heardOf("user").length === 1, { what: "the event" });
    expect(heardOf("user")).toEqual([{ user: "ada" }]);
  });

  test("takes what `millrace report` posts, which stands under no events.types", async () => {
    const cwd = await scratchDir();
    const args = ["report", "--name", "backup", "--to", url, "--", "sh", "-c", "exit 3"];
    const told = await runCommand(args, { cwd, env: { MILLRACE_EVENTS_TOKEN: EVENTS_TOKEN } });
    expect(told).toEqual({ code: 3, stdout: "", stderr: "" });
    const ends = (): unknown[] =>
      heardOf("script").filter((end) => (end as { readonly name: string }).name === "backup");
    await waitFor(() => ends().length === 1, { what: "the event" });
    expect(ends()).toMatchObject([{ name: "backup", exitCode: 3, signal: null }]);
  });

  test.skipIf(rsyslogd === undefined)(
    "hears of a line in the log that rsyslog gives to `millrace report`",
    async () => {
      const directory = await scratchDir();
      const at = (name: string): string => join(directory, name);
      const report = `"${process.execPath}" "${inject("cliFile")}" report --name disk-full --to ${url} -- false`;
      await writeFile(at("alert.sh"), `#!/bin/sh\nwhile read -r line; do ${report}; done\n`, { mode: 0o755 });
      await writeFile(
        at("rsyslog.conf"),
        `global(workDirectory="${directory}")
module(load="imuxsock" SysSock.Use="off")
module(load="omprog")
input(type="imuxsock" Socket="${at("log")}")
if $programname == "backup" and $msg contains "disk full" then action(type="omprog" binary="${at("alert.sh")}")
`,
      );
      const child = spawn(rsyslogd as string, ["-n", "-f", at("rsyslog.conf"), "-i", at("pid")], {
        cwd: directory,
        stdio: "ignore",
        env: { ...process.env, MILLRACE_EVENTS_TOKEN: EVENTS_TOKEN },
      });
      atEnd(async () => void child.kill("SIGKILL"));
      await waitFor(() => existsSync(at("log")), { what: "rsyslogd" });
      const log = (name: string, line: string) => run("logger", ["-u", at("log"), "-t", name, "-p", "user.err", line]);
      await log("other", "disk full");
      await log("backup", "all is well");
      await log("backup", "disk full");
      const alerts = (): unknown[] =>
        heardOf("script").filter((end) => (end as { readonly name: string }).name === "disk-full");
      await waitFor(() => alerts().length > 0, { what: "the alert", timeoutMs: 60_000 });
      expect(alerts()).toMatchObject([{ name: "disk-full", exitCode: 1 }]);
    },
  );
});
