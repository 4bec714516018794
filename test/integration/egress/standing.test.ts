// An endpoint that fails for long is paused, told of, and goes on by itself or by hand; events that wait spend no attempts.

import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { send } from "../../../src/automation/define/send.ts";
import { system } from "../../../src/automation/define/system.ts";
import { realClock } from "../../../src/clock.ts";
import { resolveConfig } from "../../../src/config/resolve.ts";
import { type OpenEndpoints, openEndpoints } from "../../../src/egress/open-endpoints.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { onOrder, startWorker } from "../../support/automations.ts";
import { shopCommand } from "../../support/process/shop-commands.ts";
import { receive } from "../../support/receiver.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("nats"))("an endpoint", async () => {
  const { url } = await freshNats();
  const stream = await ShopStream.create(url);

  test("is paused after five failures that lasted, and goes on by a probe; no event dies meanwhile", async () => {
    let works = false;
    await using receiver = await receive((_, response) => void response.writeHead(works ? 204 : 503).end());
    const crm = { url: receiver.url("/crm"), allowPrivate: true, pauseAfter: "200ms" };
    const { endpoints } = resolveConfig({ sources: {}, endpoints: { crm } }, new Map(), {});
    const stopping = new AbortController();
    const registry = new Registry();
    let open: OpenEndpoints | undefined;
    const told: string[] = [];
    const news = automation("news", { on: system("endpoint"), start: "earliest" }, ({ event }) => {
      told.push(`${event.data.endpoint} ${event.data.state} ${event.data.reason}`);
    });
    await using worker = await startWorker({
      url,
      automations: [onOrder("to-crm", send("crm"), { retry: { attempts: 20, min: 50, max: 100 } }), news],
      reach: (bus) => {
        const parts = { bus, clock: realClock, log: silentLogger, registry, signal: stopping.signal };
        open = openEndpoints({ endpoints, ...parts });
        return open;
      },
    });
    await stream.order("created", { id: 1, status: "new" });
    await waitFor(() => open?.status()[0]?.state === "paused", { what: "the pause" });
    const spent = worker.metrics.counts["to-crm.retried"];
    await waitFor(() => worker.running.status()[0]?.obstacle?.code === "AUTOMATION_ENDPOINT_PAUSED", {
      what: "the word",
    });
    expect(worker.running.status()[0]).toMatchObject({ state: "running" });
    expect(await registry.getSingleMetricAsString("millrace_endpoint_state")).toContain('state="paused"} 1');
    const before = receiver.hits.length;
    await waitFor(() => receiver.hits.length > before, { what: "a probe that fails" });
    works = true;
    await waitFor(() => worker.metrics.counts["to-crm.handled"] === 1, { what: "the effect" });
    // The attempt that paused it was told as one, the probes were not.
    expect((worker.metrics.counts["to-crm.retried"] ?? 0) - (spent ?? 0)).toBeLessThanOrEqual(1);
    expect(worker.metrics.counts["to-crm.exhausted"]).toBeUndefined();
    await waitFor(() => told.length === 2, { what: "both events" });
    expect(told).toEqual(["crm paused failing", "crm resumed probe"]);
    expect(open?.status()[0]).toMatchObject({ state: "open", reason: "probe" });
    stopping.abort();
    await open?.close();
  });

  test("is paused, listed and resumed by hand, and a worker obeys", async () => {
    await using receiver = await receive();
    // Beside the order of the test above, which the automation handles too.
    await stream.order("created", { id: 2, status: "new" });
    const desk = { url: receiver.url("/desk"), allowPrivate: true };
    const { endpoints } = resolveConfig({ sources: {}, endpoints: { desk } }, new Map(), {});
    const run = await shopCommand(url, ["endpoints"], undefined, { endpoints: { desk, mail: { kind: "email" } } });
    expect(await run("pause", "desk")).toMatchObject({ code: 0, stdout: expect.stringContaining("desk is paused") });
    expect(await run("pause", "disk")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("did you mean desk?"),
    });
    const listed = JSON.parse((await run("list", "--json")).stdout);
    expect(listed).toMatchObject([
      { id: "desk", kind: "webhook", state: "paused", changed: { reason: "asked" } },
      { id: "mail", kind: "email", state: "open", changed: null },
    ]);

    const stopping = new AbortController();
    let open: OpenEndpoints | undefined;
    await using worker = await startWorker({
      url,
      automations: [onOrder("to-desk", send("desk"), { retry: { attempts: 1 } })],
      reach: (bus) => {
        const parts = { bus, clock: realClock, log: silentLogger, registry: new Registry(), signal: stopping.signal };
        open = openEndpoints({ endpoints, ...parts });
        return open;
      },
    });
    await waitFor(() => worker.running.status()[0]?.obstacle?.code === "AUTOMATION_ENDPOINT_PAUSED", {
      what: "the word",
    });
    expect(receiver.hits).toEqual([]);
    expect(await run("resume", "desk")).toMatchObject({ code: 0, stdout: expect.stringContaining("desk is open") });
    await waitFor(() => worker.metrics.counts["to-desk.handled"] === 2, { what: "both effects" });
    expect(receiver.hits.map(({ body }) => JSON.parse(body).data.key.id).sort()).toEqual([1, 2]);
    stopping.abort();
    await open?.close();
  });
});
