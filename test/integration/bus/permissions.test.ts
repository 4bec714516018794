// The rights of the worker's user: what docs/operations/nats.md lists is enough, and `check` names each that is missing.

import { readFileSync } from "node:fs";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { checkBus } from "../../../src/bus/jetstream/commands/check-bus.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { automation, collection } from "../../../src/index.ts";
import type { Finding } from "../../../src/telemetry/finding.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const page = readFileSync(new URL("../../../docs/operations/nats.md", import.meta.url), "utf8");
const permissions = /```\n(publish: [\s\S]+?)```/.exec(page)?.[1] ?? "";
const publish = [...(/publish: \{ allow: \[([\s\S]+?)\] \}/.exec(permissions)?.[1] ?? "").matchAll(/"([^"]+)"/g)];
/** Without the first one it cannot connect at all. */
const needed = publish.map(([, subject]) => subject ?? "").filter((subject) => subject !== "$JS.API.INFO");

const AT_ONCE = 6;

async function wrong(url: string): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const signal = new AbortController().signal;
  const checked = { servers: [url], replicas: 1, fsync: 120_000, sources: ["shop" as SourceId], signal };
  for await (const finding of checkBus(checked)) if (finding.level !== "ok") findings.push(finding);
  return findings;
}

describe.skipIf(missing("postgres", "nats"))("the worker's rights on the bus", () => {
  test("those of the page let it work; each one less is named, before and after there are streams; nothing is changed", async () => {
    const user = (name: string, rights: string): string => `{ user: ${name}, password: p, permissions: {\n${rights}} }`;
    const without = needed.map((subject, nth) =>
      user(`without${nth}`, permissions.replace("] }", `], deny: ["${subject}"] }`)),
    );
    const deaf = user("deaf", permissions.replace(/subscribe: [\s\S]+/, 'subscribe: { allow: ["_INBOX.>"] }\n'));
    const mute = user("mute", permissions.replace('"$JS.API.INFO", ', ""));
    const { url } = await freshNats({
      syncInterval: "always",
      config: `no_auth_user: all\naccounts { A { jetstream: enabled, users: [{ user: all, password: p }, ${[user("worker", permissions), ...without, deaf, mute].join(", ")}] } }`,
    });
    const as = (name: string): string => url.replace("nats://", `nats://${name}:p@`);
    const everyone = async (): Promise<void> => {
      const found: (readonly Finding[])[] = [];
      // Some at a time: what a check waits for is little, and all at once are more than a busy machine answers by then.
      for (let nth = 0; nth < needed.length; nth += AT_ONCE) {
        const names = needed.slice(nth, nth + AT_ONCE).map((_, more) => `without${nth + more}`);
        found.push(...(await Promise.all(names.map((name) => wrong(as(name))))));
      }
      expect(found.map((findings) => findings.map(({ code, level, message }) => [code, level, message]))).toEqual(
        needed.map((subject) => [["BUS_PERMISSION", "fail", `it may not publish to ${subject}`]]),
      );
      expect(await wrong(as("worker"))).toEqual([]);
      const deafTo = ["LEADER_ELECTED", "DELETED", "MAX_DELIVERIES", "MSG_TERMINATED"].map((kind) => ({
        code: "BUS_PERMISSION",
        level: "warn",
        message: expect.stringContaining(kind),
      }));
      expect(await wrong(as("deaf"))).toMatchObject(deafTo);
      expect(await wrong(as("mute"))).toMatchObject([{ code: "BUS_PERMISSION", level: "fail" }]);
    };
    expect(needed.length).toBeGreaterThan(15);
    await everyone();

    await using database = await freshDatabase();
    await database.query("create table orders(id int primary key)");
    const twice = automation(
      "twice",
      { on: collection<{ id: number }>("shop", "public.orders").created(), retry: { attempts: 2, min: "10ms" } },
      async ({ event, attempt }) => {
        if (event.after.id === 2 || attempt === 1) throw new Error("once more");
      },
    );
    const worker = await startWorker({
      bus: { servers: as("worker"), fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url } },
      automations: [twice],
    });
    worker.finished.catch(() => {}); // the test would see it
    onTestFinished(() => worker.stop());
    const running = (): true => {
      expect(worker.status()).toMatchObject({
        sources: [{ state: "running" }],
        automations: [{ state: "running" }],
      });
      return true;
    };
    await waitFor(running, { what: "source and automation to run" });
    await database.query("insert into orders values (1), (2)");
    const settled = (): true => {
      expect(worker.status()).toMatchObject({ automations: [{ handled: 1, dead: 1 }] });
      return true;
    };
    await waitFor(settled, { what: "one event handled, one dead" });
    await worker.stop();

    const nc = await connect({ servers: url });
    onTestFinished(() => nc.close());
    const { streams } = await jetstreamManager(nc);
    const all = async (): Promise<unknown> => {
      const found = await streams.list().next();
      return found.map(({ config, state }) => [config, state.messages, state.last_seq, state.consumer_count]);
    };
    const before = await all();
    await everyone();
    expect(await all()).toEqual(before);
  });
});
