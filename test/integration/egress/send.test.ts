// What `send()` does with events: on a real nats-server, to real HTTP servers, verified by the package of Standard Webhooks.

import { Registry } from "prom-client";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import type { Automation } from "../../../src/automation/define/automation.ts";
import { send } from "../../../src/automation/define/send.ts";
import { realClock } from "../../../src/clock.ts";
import { resolveConfig } from "../../../src/config/resolve.ts";
import { type OpenEndpoints, openEndpoints } from "../../../src/egress/open-endpoints.ts";
import { compileRules } from "../../../src/rules/compile-rules.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { onOrder, startWorker, type Worker } from "../../support/automations.ts";
import { type Hit, receive, type TestReceiver } from "../../support/receiver.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const KEY = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const OLD = `whsec_${Buffer.alloc(32, 9).toString("base64")}`;
const environment = { KEY, OLD };
const secret = [{ env: "KEY" }, { env: "OLD" }];

interface Sender extends AsyncDisposable {
  readonly worker: Worker;
  readonly endpoints: OpenEndpoints;
}

/** A worker with endpoints. */
async function sender(
  url: string,
  endpoints: object,
  automations: readonly Automation[],
  posted: readonly string[] = [],
): Promise<Sender> {
  const config = resolveConfig({ sources: {}, endpoints }, new Map(), environment);
  const stopping = new AbortController();
  let open: OpenEndpoints | undefined;
  const worker = await startWorker({
    url,
    automations,
    posted,
    reach: (bus) => {
      open = openEndpoints({
        ...{ endpoints: config.endpoints, bus, clock: realClock, log: silentLogger },
        ...{ registry: new Registry(), signal: stopping.signal },
      });
      return open;
    },
  });
  return {
    worker,
    endpoints: open as unknown as OpenEndpoints,
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await worker.stop();
      await open?.close();
    },
  };
}

function verified(hit: Hit, key: string): unknown {
  return new Webhook(key).verify(hit.body, hit.headers as Record<string, string>);
}

describe.skipIf(missing("nats"))("send()", async () => {
  const nats = await freshNats();
  const { url } = nats;
  const stream = await ShopStream.create(url);
  await stream.order("created", { id: 1, status: "new" });

  const base = (receiver: TestReceiver, path: string, more: object = {}): object => ({
    crm: { url: receiver.url(path), secret, allowPrivate: true, timeout: "2s", ...more },
  });
  const dead = (
    id: string,
  ): Promise<readonly { readonly error: { readonly answer?: string; readonly code?: string } }[]> =>
    stream.deadLetters(id).catch(() => []) as never;

  test("signs by each key, under one id without dots for all attempts, with the body as built and the event's time", async () => {
    await using receiver = await receive(({ nth }, response) => void response.writeHead(nth < 3 ? 500 : 200).end());
    const toCrm = onOrder(
      "signs",
      send("crm", ({ event }) => ({ type: "order.created", data: event.after })),
    );
    await using _ = await sender(url, base(receiver, "/ok"), [toCrm]);
    await waitFor(() => receiver.hits.length === 3, { what: "the third attempt" });
    for (const hit of receiver.hits) {
      for (const key of [KEY, OLD])
        expect(verified(hit, key)).toMatchObject({ type: "order.created", data: { id: 1 } });
      expect(() => verified(hit, `whsec_${Buffer.alloc(32, 1).toString("base64")}`)).toThrow();
    }
    expect(new Set(receiver.hits.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect(receiver.hits[0]?.headers["webhook-id"]).toMatch(/^msg_[0-9a-f]{40}$/);
    expect(new Set(receiver.hits.map(({ body }) => body)).size).toBe(1);
    expect(JSON.parse(receiver.hits[0]?.body ?? "").timestamp).toMatch(/^\d{4}-\d\d-\d\dT/);
    expect(receiver.hits[0]?.headers["user-agent"]).toMatch(/^Millrace\//);
  });

  test("sends the change itself where nobody builds a message, and nothing where the function skips", async () => {
    await using receiver = await receive();
    const plain = onOrder("plain", send("crm"));
    const skips = onOrder(
      "skips",
      send("crm", ({ skip }) => skip("not wanted")),
    );
    await using one = await sender(url, base(receiver, "/plain"), [plain, skips]);
    await waitFor(() => one.worker.metrics.counts["plain.handled"] === 1, { what: "the effect" });
    await waitFor(() => one.worker.metrics.counts["skips.skipped"] === 1, { what: "the other" });
    expect(receiver.hits.map(({ body }) => JSON.parse(body))).toMatchObject([
      { type: "shop.public.orders.created", data: { op: "created", key: { id: 1 }, after: { id: 1, status: "new" } } },
    ]);
  });

  test("of rules: one emits, another one sends what that emitted, as its templates make it", async () => {
    await using receiver = await receive();
    const asks = `id: asks
on: { source: shop, collection: public.orders, op: created }
start: earliest
do: { emit: order.seen, key: "{{ /key/id }}", data: { order: "{{ /after/id }}" } }
`;
    const tells = `id: tells
on: { event: order.seen }
start: earliest
do: { send: crm, data: { text: "order {{ /data/order }}" } }
`;
    const rules = compileRules(
      [asks, tells].map((text, nth) => ({ file: `${nth}.yaml`, bytes: Buffer.from(text) })),
      {
        ...{ sources: ["shop"], endpoints: ["crm"], webhooks: [], kinds: { crm: "webhook" } },
      },
    ).map(({ automation }) => automation);
    await using one = await sender(url, base(receiver, "/rule"), rules, ["order.seen"]);
    await waitFor(() => one.worker.metrics.counts["tells.handled"] === 1, { what: "the effect" });
    expect(receiver.hits.map((hit) => verified(hit, KEY))).toMatchObject([
      { type: "order.seen", data: { text: "order 1" } },
    ]);
  });

  test("gives two automations two ids for one event: they may say different things of it", async () => {
    await using receiver = await receive();
    await using _ = await sender(url, base(receiver, "/two"), [
      onOrder("two-a", send("crm")),
      onOrder("two-b", send("crm")),
    ]);
    await waitFor(() => receiver.hits.length === 2, { what: "both" });
    expect(new Set(receiver.hits.map(({ headers }) => headers["webhook-id"])).size).toBe(2);
  });

  test("ends as a dead letter with what was answered once the attempts are used up; a redirect is not followed", async () => {
    await using receiver = await receive(({ path }, response) => {
      if (path === "/no")
        response.writeHead(400, { "content-type": "text/plain" }).end(`no: ${KEY} ${"x".repeat(100_000)}`);
      else response.writeHead(307, { location: "/elsewhere" }).end();
    });
    const endpoints = { ...base(receiver, "/no"), other: { url: receiver.url("/redirect"), allowPrivate: true } };
    const retry = { attempts: 2, min: 20, max: 50 };
    await using _ = await sender(url, endpoints, [
      onOrder("refused", send("crm"), { retry }),
      onOrder("redirected", send("other"), { retry }),
    ]);
    await waitFor(async () => (await dead("refused")).length === 1, { what: "the dead letter" });
    await waitFor(async () => (await dead("redirected")).length === 1, { what: "the other" });
    const [letter] = await dead("refused");
    expect(letter?.error).toMatchObject({ code: "ENDPOINT_REFUSED", message: "the endpoint crm answered 400" });
    expect(letter?.error.answer).toMatch(/^no: \[redacted\] xxx/);
    expect(letter?.error.answer?.length).toBe(2000);
    expect(receiver.at("/no")).toHaveLength(2);
    expect(receiver.at("/elsewhere")).toHaveLength(0);
    expect(receiver.at("/redirect")[0]?.headers["webhook-signature"]).toBeUndefined();
  });

  test("does not reach an address inside, and says which option allows it; a proxy of the environment is not asked", async () => {
    await using receiver = await receive();
    process.env.HTTP_PROXY = receiver.url("");
    process.env.http_proxy = receiver.url("");
    process.env.NODE_USE_ENV_PROXY = "1";
    try {
      const inside = onOrder("inside", send("crm"), { retry: { attempts: 2, min: 20, max: 50 } });
      await using _ = await sender(url, base(receiver, "/inside", { allowPrivate: false }), [inside]);
      await waitFor(async () => (await dead("inside")).length === 1, { what: "the dead letter" });
      expect((await dead("inside"))[0]?.error).toMatchObject({
        code: "ENDPOINT_ADDRESS_REFUSED",
        message: "the endpoint crm leads to a loopback address",
      });
      expect(receiver.hits).toEqual([]);
    } finally {
      delete process.env.HTTP_PROXY;
      delete process.env.http_proxy;
      delete process.env.NODE_USE_ENV_PROXY;
    }
  });

  test("waits as long as the endpoint asks", async () => {
    const later = ({ nth, path }: Hit): boolean => path === "/later" && nth === 1;
    await using receiver = await receive((hit, response) => {
      response.writeHead(later(hit) ? 429 : 204, later(hit) ? { "retry-after": "1" } : {}).end();
    });
    await using one = await sender(url, base(receiver, "/later"), [onOrder("later", send("crm"))]);
    await waitFor(() => one.worker.metrics.counts["later.handled"] === 1, { what: "the effect" });
    const [first, second] = receiver.at("/later");
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(990);
  });

  test("is disabled by 410 for good: asked once, and remembered by the next worker", async () => {
    await using receiver = await receive((_, response) => void response.writeHead(410).end());
    const endpoints = { gone: { url: receiver.url("/gone"), allowPrivate: true } };
    const gone = onOrder("gone", send("gone"));
    {
      await using one = await sender(url, endpoints, [gone]);
      await waitFor(async () => (await dead("gone")).length === 1, { what: "the dead letter" });
      expect(one.endpoints.status()).toMatchObject([{ id: "gone", state: "disabled", reason: "gone" }]);
    }
    await stream.order("created", { id: 2, status: "new" });
    await using two = await sender(url, endpoints, [gone]);
    await waitFor(async () => (await dead("gone")).length === 2, { what: "the second dead letter" });
    expect(receiver.hits).toHaveLength(1);
    expect(two.endpoints.status()).toMatchObject([{ id: "gone", state: "disabled" }]);
  });

  test("holds nobody up for an endpoint that hangs, and reads no endless answer", async () => {
    await using receiver = await receive(({ path }, response) => {
      if (path === "/hang") return;
      response.writeHead(200);
      if (path === "/endless") response.write("a");
      else response.write(Buffer.alloc(1024 * 1024, 97));
    });
    const at = (path: string): object => ({ url: receiver.url(path), allowPrivate: true, timeout: "500ms" });
    const endpoints = { hang: at("/hang"), endless: at("/endless"), huge: at("/huge") };
    const retry = { attempts: 2, min: 20, max: 50 };
    await using one = await sender(url, endpoints, [
      onOrder("hang", send("hang"), { retry }),
      onOrder("endless", send("endless"), { retry }),
      onOrder("huge", send("huge"), { retry }),
    ]);
    await waitFor(() => (one.worker.metrics.counts["endless.handled"] ?? 0) >= 1, { what: "the endless answer" });
    await waitFor(() => (one.worker.metrics.counts["huge.handled"] ?? 0) >= 1, { what: "the huge answer" });
    await waitFor(async () => (await dead("hang")).length >= 1, { what: "the dead letter" });
    expect((await dead("hang"))[0]?.error).toMatchObject({ code: "ENDPOINT_UNREACHABLE" });
  });

  test("keeps the order of each key through attempts that fail, while another key goes on", async () => {
    const named = ({ body }: Hit): string => {
      const { data } = JSON.parse(body);
      return `${data.id} ${data.status}`;
    };
    await using receiver = await receive((hit, response) => {
      const waits = named(hit) === "10 a" && !receiver.hits.some((one) => named(one) === "11 a");
      response.writeHead(waits || (named(hit) === "10 b" && hit.nth < 3) ? 500 : 204).end();
    });
    for (const status of ["a", "b", "c"]) await stream.order("created", { id: 10, status });
    await stream.order("created", { id: 11, status: "a" });
    const ordered = onOrder(
      "ordered",
      send("crm", ({ event, skip }) =>
        event.after.id < 10 ? skip("of another test") : { type: "order.created", data: event.after },
      ),
      { order: "key", retry: { attempts: 200, min: 20, max: 50 } },
    );
    await using one = await sender(url, base(receiver, "/ordered"), [ordered]);
    await waitFor(() => one.worker.metrics.counts["ordered.handled"] === 4, { what: "all four" });
    const seen = receiver.hits.map(named).filter((name) => name.startsWith("10"));
    expect(seen.filter((name, n) => name !== seen[n - 1])).toEqual(["10 a", "10 b", "10 c"]);
    expect(seen.filter((name) => name === "10 b")).toHaveLength(3);
  });

  test("sends nothing in shadow", async () => {
    await using receiver = await receive();
    const quiet = onOrder("quiet", send("crm"), { shadow: true });
    await using one = await sender(url, base(receiver, "/shadow"), [quiet, onOrder("loud", send("crm"))]);
    const { counts } = one.worker.metrics;
    await waitFor(() => (counts["loud.handled"] ?? 0) > 0 && counts["quiet.shadow.done"] === counts["loud.handled"], {
      what: "as many in shadow as were sent",
    });
    expect(counts["quiet.handled"]).toBeUndefined();
    await one.worker.stop();
    expect(receiver.hits).toHaveLength(counts["loud.handled"] ?? 0);
  });
});
