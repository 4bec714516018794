// Whole workers that receive, on a real nats-server: killed under a burst, stopped, refused at the start, read by automations.

import { expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { automation, event, type WebhookEvent, webhook } from "../../../src/index.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { ask, erp, posted, SECRET, signed, TOKEN } from "../../support/ingress.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const env = { SECRET, TOKEN };
const types = { "user.signed_in": { type: "object", required: ["user"] } };
const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, nth) => String(from + nth));

test.skipIf(missing("nats"))(
  "killed under a burst, all that was answered 2xx is on the bus once, and what is sent again is known",
  async () => {
    const nats = await freshNats();
    const port = await freePort();
    const configuration = { bus: { servers: nats.url }, sources: {}, webhooks: { erp }, ingress: { port } };
    const first = await WorkerProcess.start(configuration, { env });
    const taken = (id: string) =>
      ask(port, signed(`{"event":"burst","n":${id}}`, id)).then(({ status }) => status === 200);
    await waitFor(() => taken("0"), { what: "the first worker to receive" });

    const answered = new Set<string>();
    const sent = numbers(1, 200);
    let next = 0;
    const send = async (): Promise<void> => {
      for (let id = sent[next++]; id !== undefined; id = sent[next++]) if (await taken(id)) answered.add(id);
    };
    const sending = Promise.all(Array.from({ length: 16 }, send));
    await waitFor(() => answered.size >= 40, { what: "some answers" });
    await first.kill();
    await sending;
    const ids = async (): Promise<string[]> =>
      (await readStream(nats.url, "MILLRACE_EVENTS"))
        .filter(({ subject }) => subject.startsWith("events._in.erp.burst."))
        .map((one) => one.header("ce-id")?.slice("erp.".length) ?? "");
    const before = await ids();
    expect(new Set(before).size).toBe(before.length);
    expect([...answered].filter((id) => !before.includes(id))).toEqual([]);
    expect(answered.size).toBeLessThan(sent.length);

    await using _second = await first.again();
    await waitFor(() => taken("0"), { what: "the second worker to receive" });
    for (const id of sent) await waitFor(() => taken(id), { what: `${id} to be taken` });
    const after = await ids();
    expect(after.toSorted()).toEqual(["0", ...sent].toSorted());
  },
);

test.skipIf(missing("nats"))(
  "a worker that only receives is ready when it listens, and its automations get webhooks and POSTs",
  async () => {
    const nats = await freshNats();
    const port = await freePort();
    for (const [name, value] of Object.entries(env)) process.env[name] = value;
    const seen: unknown[] = [];
    const worker = await startWorker({
      ...{ bus: { servers: nats.url }, sources: {}, webhooks: { erp }, ingress: { port } },
      events: { token: { env: "TOKEN" }, types },
      automations: [
        automation(
          "paid",
          { on: webhook<{ n: number }>("erp", "paid") },
          ({ event: { id, body } }) => void seen.push([id, body.n]),
        ),
        automation(
          "signed-in",
          { on: event<{ user: string }>("user.signed_in") },
          ({ event: { type, data } }) => void seen.push([type, data.user]),
        ),
        automation(
          "both",
          { on: [webhook("erp", "paid"), webhook("erp")] },
          ({ event: one }) => void seen.push((one as WebhookEvent).type),
        ),
      ],
    });
    onTestFinished(() => worker.stop());
    await waitFor(() => worker.status().ready, { what: "the worker to be ready" });
    expect(worker.status().parts.find(({ kind }) => kind === "ingress")).toMatchObject({
      ready: true,
      reason: `listening on http://127.0.0.1:${port}`,
    });

    const paid = signed('{"event":"paid","n":7}', "p-1");
    expect((await ask(port, paid)).json?.status).toBe("accepted");
    expect((await ask(port, paid)).json?.status).toBe("duplicate");
    expect((await ask(port, posted("user.signed_in", '{"user":"ada"}'))).json?.status).toBe("accepted");
    await waitFor(() => seen.length >= 3, { what: "the automations" });
    expect(seen).toEqual(expect.arrayContaining([["erp.p-1", 7], ["user.signed_in", "ada"], "paid"]));
    expect(worker.status().ingress?.receivers).toMatchObject([
      { name: "erp", provider: "hmac", accepted: 1, duplicate: 1 },
      { name: "_post", provider: "events", accepted: 1 },
    ]);
    await worker.stop();
    expect((await ask(port, paid)).status).toBe(0);
    expect(seen).toHaveLength(3);
  },
);

test.skipIf(missing("nats"))("a body that no message can carry is stored all the same, and read whole", async () => {
  const nats = await freshNats();
  const port = await freePort();
  process.env.SECRET = SECRET;
  const lengths: number[] = [];
  const worker = await startWorker({
    ...{ bus: { servers: nats.url }, sources: {}, ingress: { port } },
    webhooks: { erp: { ...erp, maxBytes: 8 * 1024 * 1024 } as never },
    automations: [
      automation(
        "large",
        { on: webhook<{ x: string }>("erp") },
        ({ event: { body } }) => void lengths.push(body.x.length),
      ),
    ],
  });
  onTestFinished(() => worker.stop());
  await waitFor(() => worker.status().ready, { what: "the worker to be ready" });
  const large = signed(`{"event":"large","x":"${"y".repeat(3 * 1024 * 1024)}"}`);
  expect((await ask(port, large)).json?.status).toBe("accepted");
  expect((await ask(port, large)).json?.status).toBe("duplicate");
  await waitFor(() => lengths.length > 0, { what: "the automation" });
  expect(lengths).toEqual([3 * 1024 * 1024]);
});

test("a port that another program has, and a schema that is none, end the start with a ConfigError", async () => {
  process.env.SECRET = SECRET;
  process.env.TOKEN = TOKEN;
  const port = await freePort();
  const { createServer } = await import("node:net");
  const other = createServer().listen(port, "127.0.0.1");
  onTestFinished(() => void other.close());
  const nowhere = { bus: { servers: "nats://127.0.0.1:1" }, sources: {}, webhooks: { erp: erp as never } };
  await expect(startWorker({ ...nowhere, ingress: { port } })).rejects.toMatchObject({
    name: "ConfigError",
    code: "INGRESS_PORT_IN_USE",
  });
  const events = { token: { env: "TOKEN" }, types: { "user.left": { type: "no type" } } };
  await expect(startWorker({ ...nowhere, events })).rejects.toMatchObject({
    name: "ConfigError",
    code: "EVENT_SCHEMA_INVALID",
  });
});
