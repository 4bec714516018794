// The HTTP port on an address that others can reach: no worker without a token, and nothing told to whoever has none.

import { networkInterfaces } from "node:os";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const reachable = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, address }) => !internal && !address.startsWith("fe80:"))?.address;

function noAddress(): boolean {
  if (reachable === undefined) console.error("skipping tests: this machine has no address but loopback");
  return reachable === undefined;
}

describe.skipIf(noAddress() || missing("postgres", "nats"))("a worker on an address that others can reach", () => {
  const host = reachable ?? "";
  const url = (port: number, path: string): string =>
    `http://${host.includes(":") ? `[${host}]` : host}:${port}${path}`;

  test.each([
    ["that address", host],
    ["all addresses of IPv4", "0.0.0.0"],
    ["all addresses", "::"],
    ["a name", "localhost.example"],
  ])("does not start without a token on %s, and listens on nothing", async (_what, configured) => {
    vi.stubEnv("MILLRACE_HTTP_TOKEN", "");
    onTestFinished(() => void vi.unstubAllEnvs());
    const port = await freePort();

    const starting = startWorker({ http: { host: configured, port }, sources: {} }, { http: true });

    await expect(starting).rejects.toMatchObject({
      name: "ConfigError",
      code: "HTTP_TOKEN_MISSING",
      message: `http: ${configured} can be reached by others and no token is set`,
      hint: expect.stringContaining("MILLRACE_HTTP_TOKEN"),
    });
    await expect(fetch(url(port, "/healthz"))).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } });
  });

  test("answers who has the token, and tells all others no more than that it is alive and whether it is ready", async () => {
    vi.stubEnv("MILLRACE_HTTP_TOKEN", "right-of-reachable");
    onTestFinished(() => void vi.unstubAllEnvs());
    await using database = await freshDatabase();
    await database.query("create table orders(id int primary key)");
    const nats = await freshNats();
    const port = await freePort();
    const sources = { shop: { kind: "postgres", url: database.url } };
    const config = { http: { host, port }, sources, bus: { servers: nats.url, fsync: "always" } };
    const worker = await startWorker(config, { http: true });
    worker.finished.catch(() => {}); // the test would see it
    onTestFinished(() => worker.stop());
    await waitFor(() => worker.status().ready, { what: "the worker to be ready" });
    const get = (path: string, authorization?: string): Promise<Response> =>
      fetch(url(port, path), { headers: authorization === undefined ? {} : { authorization } });
    const right = "Bearer right-of-reachable";
    const wrong = [
      undefined,
      "",
      "Bearer",
      "Bearer wrong",
      "Basic right-of-reachable",
      `${right}s`,
      right.slice(0, -1),
    ];

    for (const path of ["/metrics", "/api/status", "/api/status?token=right-of-reachable"]) {
      for (const given of wrong) {
        const refused = await get(path, given);
        expect([path, given, refused.status]).toEqual([path, given, 401]);
        expect(await refused.json()).toEqual({ error: expect.stringContaining("MILLRACE_HTTP_TOKEN") });
      }
      expect([path, (await get(path, right)).status]).toEqual([path, 200]);
    }
    for (const given of wrong) {
      expect(await (await get("/healthz", given)).json()).toEqual({ status: "ok" });
      expect(await (await get("/readyz", given)).json()).toEqual({ ready: true });
    }
    expect(await (await get("/readyz", right)).json()).toMatchObject({ ready: true, parts: [{}, { id: "shop" }] });
  });
});
