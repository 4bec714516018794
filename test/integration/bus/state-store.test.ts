// The bucket of small state, beside what the contract of the bus says of it: without leftovers.

import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { openStateStore } from "../../../src/bus/jetstream/client/state-store.ts";
import { TransientError } from "../../../src/errors.ts";
import { freshNats, missing } from "../../support/servers.ts";

describe.skipIf(missing("nats"))("the state store", async () => {
  const nats = await freshNats();
  const nc = await connect({ servers: nats.url });
  const store = await openStateStore(nc, { bucket: "millrace_state", replicas: 1 });

  test("forgets a deleted key without a trace, and it can be new again", async () => {
    await store.put("a.gone", 1, 0);
    const jsm = await jetstreamManager(nc);
    const messages = async () => (await jsm.streams.info("KV_millrace_state")).state.messages;
    const before = await messages();
    await store.delete("a.gone");
    expect(await messages()).toBe(before - 1);
    expect(await store.get("a.gone")).toBeUndefined();
    expect(await store.put("a.gone", 2, 0)).toBeDefined();
  });

  test("tells of a TypeError in the client's call as a bug", async () => {
    const key = undefined as unknown as string;

    await expect(store.get(key)).rejects.toMatchObject({ name: "BugError", code: "BUG" });
  });

  test("is made again when somebody has deleted it", async () => {
    await store.put("a.kept", 1, 0);
    await (await jetstreamManager(nc)).streams.delete("KV_millrace_state");

    await expect(store.put("a.kept", 2, 0)).rejects.toBeInstanceOf(TransientError);
    expect(await store.put("a.kept", 2, 0)).toBeDefined();
    expect((await store.get("a.kept"))?.value).toBe(2);
  });

  test("is never answered by a lagging replica", async () => {
    const jsm = await jetstreamManager(nc);
    expect((await jsm.streams.info("KV_millrace_state")).config.allow_direct).toBe(false);
    await nc.close();
  });
});
