// The example of webhooks, as its README says it: the worker, what sends, what is answered, what the automations hear.

import { spawnSync } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort } from "../../../src/dev/free-port.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

test.skipIf(missing("nats"))("each of the example's senders is answered as its README says, and heard", async () => {
  const nats = await freshNats();
  const directory = join(await scratchDir(), "webhooks");
  cpSync("examples/webhooks", directory, { recursive: true });
  const [, secrets = ""] = /^export (.*)$/m.exec(readFileSync("examples/webhooks/README.md", "utf8")) ?? [];
  const set = Object.fromEntries(secrets.split(" ").map((one) => one.split("=") as [string, string]));
  const env = { ...set, NATS_URL: nats.url, INGRESS_PORT: String(await freePort()) };
  await using worker = await WorkerProcess.start({}, { directory, env, args: ["--config", "millrace.config.mjs"] });
  const ready = async () => (await fetch(`${worker.httpUrl}/readyz`)).status === 200;
  await waitFor(ready, { what: "the worker to be ready" });

  const sent = spawnSync(process.execPath, [join(directory, "send.mjs")], { env: { ...process.env, ...env } });
  const answers = sent.stdout.toString().match(/"status":"\w+"/g);
  expect(answers).toEqual(
    ["accepted", "duplicate", "accepted", "accepted", "refused"].map((one) => `"status":"${one}"`),
  );
  for (const text of ["an invoice was paid", "an order came in", "somebody signed in"])
    await waitFor(() => worker.log().includes(text), { what: text });
  expect(worker.log()).not.toMatch(new RegExp(Object.values(set).join("|")));
});
