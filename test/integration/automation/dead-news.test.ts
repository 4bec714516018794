// What is told of dead letters, and what a replay that is killed leaves.

import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { system } from "../../../src/automation/define/system.ts";
import { openDeadLetterCommands } from "../../../src/bus/jetstream/commands/dead-letters.ts";
import { onOrder, startWorker } from "../../support/automations.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const skip = missing("nats");

test.skipIf(skip)(
  "the first dead letter of a kind is told of at once, others not each; one that hears of them has none told",
  async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const mail = onOrder("mail", ({ event, fatal }) => {
      throw fatal(event.after.status === "bad" ? `no mail for ${event.after.id}` : "another kind");
    });
    const heard: unknown[] = [];
    const hears = automation("hears", { on: system("dead"), start: "earliest" }, ({ event, fatal }) => {
      heard.push(event.data);
      throw fatal("and dies of it");
    });
    await using worker = await startWorker({ url, automations: [mail, hears] });
    await stream.order("created", { id: 1, status: "bad" });
    await waitFor(() => heard.length === 1, { what: "the first" });
    for (let id = 2; id <= 9; id++) await stream.order("created", { id, status: "bad" });
    await waitFor(() => worker.metrics.counts["mail.fatal"] === 9, { what: "the others" });
    await stream.order("created", { id: 10, status: "new" });
    await waitFor(() => heard.length === 2, { what: "the other kind" });
    await waitFor(() => worker.metrics.counts["hears.fatal"] === 2, { what: "their own end" });

    expect(heard).toMatchObject([
      {
        automation: "mail",
        state: "arrived",
        count: 1,
        reason: "fatal",
        stream: "CDC_SHOP",
        sequence: 1,
        source: "shop",
      },
      { automation: "mail", state: "arrived", count: 1, reason: "fatal", sequence: 10 },
    ]);
    const jsm = await jetstreamManager(stream.nc);
    const { state } = await jsm.streams.info("MILLRACE_EVENTS");
    expect(state.messages).toBe(2);
  },
);

test.skipIf(skip)(
  "a replay that was killed before it took the letter away is repeated without a second handing-out",
  async () => {
    const { url } = await freshNats({
      config: `no_auth_user: all
accounts { A { jetstream: enabled, users: [
  { user: all, password: p },
  { user: halfway, password: p, permissions: { publish: { allow: [">"], deny: ["$JS.API.STREAM.MSG.DELETE.>"] } } } ] } }`,
    });
    await using stream = await ShopStream.create(url);
    let started = 0;
    const mail = onOrder("mail", ({ fatal }) => {
      started++;
      if (started === 1) throw fatal("no");
    });
    await using worker = await startWorker({ url, automations: [mail] });
    await stream.order("created", { id: 1, status: "new" });
    await waitFor(() => worker.metrics.counts["mail.fatal"] === 1, { what: "the letter" });
    const signal = new AbortController().signal;
    const replay = async (server: string): Promise<void> => {
      await using letters = await openDeadLetterCommands({ servers: [server], replicas: 1, signal });
      const handedOut: number[] = [];
      await letters.handOut(letters.read({ of: "mail" }), ({ letter }) => void handedOut.push(letter.id));
      await letters.drop(handedOut);
    };
    await expect(replay(url.replace("nats://", "nats://halfway:p@"))).rejects.toMatchObject({ code: "BUS_PERMISSION" });
    await waitFor(() => worker.metrics.counts["mail.handled"] === 1, { what: "its handling" });
    expect(await stream.deadLetters("mail")).toHaveLength(1);

    await replay(url);
    expect(await stream.deadLetters("mail")).toHaveLength(0);
    // Behind it in its durable comes what would have been handed out twice.
    const jsm = await jetstreamManager(stream.nc);
    const { state } = await jsm.streams.info("MILLRACE_RETRY");
    expect([state.last_seq, state.messages]).toEqual([1, 0]);
    expect(started).toBe(2);
  },
);
