// The example of ways out, as its README and docs/ways-out.md say it: an order goes in, and arrives signed.

import { spawn } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort } from "../../../src/dev/free-port.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const folder = "examples/ways-out";
const readme = readFileSync(`${folder}/README.md`, "utf8");

test("the first example of docs/ways-out.md is what the example runs", () => {
  const [, config = "", code = ""] =
    /```ts\n(.*?)```.*?```ts\n(.*?)```/s.exec(readFileSync("docs/ways-out.md", "utf8")) ?? [];
  expect(readFileSync(`${folder}/millrace.config.mjs`, "utf8")).toContain(config);
  expect(readFileSync(`${folder}/automations/orders-to-crm.mjs`, "utf8")).toContain(code);
});

test.skipIf(missing("nats"))(
  "an order that is posted arrives at the receiver, verified; what is not signed is refused",
  async () => {
    const nats = await freshNats();
    const directory = join(await scratchDir(), "ways-out");
    cpSync(folder, directory, { recursive: true });
    const [, variables = ""] = /^export (.*)$/m.exec(readme) ?? [];
    const set = Object.fromEntries(variables.split(" ").map((one) => one.split("=") as [string, string]));
    const crm = `http://127.0.0.1:${await freePort()}/hooks`;
    const env = { ...set, NATS_URL: nats.url, INGRESS_PORT: String(await freePort()), CRM_URL: crm };
    const [, receive = "", order = ""] = [...readme.matchAll(/```sh\n(.*?)\n```/gs)].map(([, block = ""]) => block);

    const receiver = spawn("bash", ["-c", `exec ${receive}`], { env: { ...process.env, ...env } });
    let printed = "";
    for (const stream of [receiver.stdout, receiver.stderr])
      stream.setEncoding("utf8").on("data", (text) => (printed += text));
    try {
      await using worker = await WorkerProcess.start({}, { directory, env, args: ["--config", "millrace.config.mjs"] });
      const ready = async () => (await fetch(`${worker.httpUrl}/readyz`)).status === 200;
      await waitFor(ready, { what: "the worker to be ready" });
      spawn("bash", ["-c", order], { env: { ...process.env, ...env }, stdio: "ignore" });
      const [, said = ""] = /^The CRM prints `(.*?)`/m.exec(readme) ?? [];
      await waitFor(() => printed.includes(said), { what: "the order at the receiver" });
      expect((await fetch(crm, { method: "POST", body: "{}" })).status).toBe(401);
      await waitFor(() => printed.includes("refused"), { what: "the word of it" });
      expect(worker.log()).not.toMatch(/whsec_|events_example/);
    } finally {
      receiver.kill();
    }
  },
);
