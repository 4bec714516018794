// Messages that somebody took out of the middle of a source's stream: by a deletion, or by a limit per subject. The source
// passes over them, automations that had not had them are told. On a real nats-server.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { openRetryStream } from "../../../src/bus/jetstream/client/retry-stream.ts";
import { eraseEvent } from "../../../src/bus/jetstream/commands/erase-event.ts";
import { openJetStreamBus } from "../../../src/bus/jetstream/jetstream-bus.ts";
import { verifyStream } from "../../../src/bus/jetstream/verify/verify-stream.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import type { StreamMessage } from "../../../src/event/message.ts";
import type { Position } from "../../../src/event/position.ts";
import { onlyPosition } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { messageMaker, ordersCreated } from "../../support/bus/encoded.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { RecordedLog } from "../../support/postgres/recorded-log.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";

const shop = "shop" as SourceId;
const make = messageMaker(shop);
const place = (n: number): Position => `0001.${n.toString(16).padStart(16, "0")}+` as Position;

/** One transaction of one event. */
function order(n: number): StreamMessage {
  return make({ kind: ordersCreated, key: "1", transaction: String(n), position: place(n) });
}

interface Written {
  readonly log: RecordedLog;
  /** Where it went on from. */
  readonly resume: Position | undefined;
}

/** What our own writer does at a start; it saves its last place. */
async function write(server: NatsServer, ...messages: readonly StreamMessage[]): Promise<Written> {
  const { signal } = new AbortController();
  const log = new RecordedLog();
  await using bus = await openJetStreamBus({ servers: [server.url], replicas: 1, fsync: "always", log, signal });
  await using writer = await bus.stream(shop).openWriter(signal);
  await writer.write(messages);
  await writer.flush(20_000);
  let mark = await writer.nextMark();
  while (messages.length > 0 && onlyPosition(mark.positions) !== messages.at(-1)?.position)
    mark = await writer.nextMark();
  await writer.save(mark);
  return { log, resume: onlyPosition(writer.resume) };
}

async function client(server: NatsServer): Promise<NatsConnection> {
  const nc = await connect({ servers: server.url });
  onTestFinished(() => nc.close());
  return nc;
}

/** A stream as somebody made it who wants to be able to delete. */
async function deletable(server: NatsServer) {
  const jsm = await jetstreamManager(await client(server));
  await jsm.streams.add({
    name: "CDC_SHOP",
    subjects: ["cdc.shop.>", "events.shop.>", "meta.shop.>"],
    allow_atomic: true,
    allow_direct: true,
    deny_purge: true,
  });
  return jsm;
}

const subjects = async (server: NatsServer): Promise<readonly string[]> =>
  (await readStream(server.url, "CDC_SHOP")).map(({ subject }) => subject.split(".").slice(0, 5).join("."));

describe.skipIf(missing("nats"))("an event that is erased on purpose", () => {
  test("is still there, and its command says why, when the bus does not answer", async () => {
    const cwd = await scratchDir();
    const servers = `nats://127.0.0.1:${await freePort()}`;
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ bus: { servers }, sources: {} }));

    const { code, stderr } = await runCommand(["erase", "shop", "5", "--yes"], { cwd });

    expect([code, stderr]).toEqual([1, expect.stringMatching(/^BUS_UNREACHABLE: no answer from .*\nfix: See that /)]);
  });

  test("is gone with its dead letter, the source goes on, and verify tells it and finds nothing wrong", async () => {
    const server = await freshNats();
    const jsm = await jetstreamManager(await client(server));
    await write(server, ...Array.from({ length: 9 }, (_, at) => order(at + 1))); // one batch, 2 to 10
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ bus: { servers: server.url }, sources: {} }));
    const erase = (sequence: number, ...flags: readonly string[]): Promise<CommandResult> =>
      runCommand(["erase", "shop", String(sequence), ...flags], { cwd });
    await jetstream(await client(server)).publish(
      "dead.mail",
      JSON.stringify({ reason: "handler", event: { stream: "CDC_SHOP", sequence: 5 } }),
    );

    expect(await erase(5)).toMatchObject({ code: 2, stderr: expect.stringMatching(/^ERASE_UNCONFIRMED: /) });
    expect(await erase(1, "--yes")).toMatchObject({ code: 2, stderr: expect.stringMatching(/^ERASE_NO_EVENT: /) });
    expect(await erase(99, "--yes")).toMatchObject({ code: 2, stderr: expect.stringMatching(/^ERASE_NOTHING: /) });
    const erased = await erase(5, "--yes");
    expect([erased.code, erased.stderr]).toEqual([0, ""]);
    expect(erased.stdout).toContain("CDC_SHOP #5: cdc.shop.public.orders.created.p00");
    expect(erased.stdout).toContain("dead letters that hold it: 1");
    expect(await jsm.streams.getMessage("CDC_SHOP", { seq: 5 }).catch(() => null)).toBeNull();
    expect((await jsm.streams.info("MILLRACE_DEAD")).state.messages).toBe(0);

    expect((await write(server, order(10))).resume).toBe(place(9));
    const report = await verifyStream({
      servers: [server.url],
      source: shop,
      onProgress: () => {},
      log: new RecordedLog(),
      signal: new AbortController().signal,
    });
    expect(report.findings).toEqual([]);
    expect(report.notes).toEqual([
      {
        kind: "erased",
        sequence: 5,
        about: { subject: "cdc.shop.public.orders.created.p00", at: expect.any(String) },
      },
    ]);
    await jsm.streams.deleteMessage("CDC_SHOP", 7);
    expect((await runCommand(["verify", "shop", "--json"], { cwd })).code).toBe(3);
  });

  test("is gone from where it waits for a long retry too, also when the stream has dropped it", async () => {
    const server = await freshNats();
    const nc = await client(server);
    const jsm = await jetstreamManager(nc);
    await write(server, ...Array.from({ length: 9 }, (_, at) => order(at + 1))); // one batch, 2 to 10
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ bus: { servers: server.url }, sources: {} }));
    const { store } = openRetryStream(nc, { replicas: 1 });
    const event = { stream: "CDC_SHOP", subject: "cdc.shop.public.orders.created.p00", headers: { "ce-id": "shop.5" } };
    const put = (automation: string, sequence: number) =>
      store({ ...event, automation, sequence, data: Buffer.from("{}"), attempts: 1, dueAt: Date.now() + 3_600_000 });
    for (const [automation, sequence] of [
      ["mail", 5],
      ["bill", 5],
      ["mail", 6],
      ["mail", 99],
    ] as const)
      await put(automation, sequence);
    const waiting = async (): Promise<number> => (await jsm.streams.info("MILLRACE_RETRY")).state.messages;

    const erased = await runCommand(["erase", "shop", "5", "--yes"], { cwd });
    expect([erased.code, erased.stderr]).toEqual([0, ""]);
    expect(erased.stdout).toContain("mail has it put off for later: it never gets it");
    expect(erased.stdout).toContain("bill has it put off for later: it never gets it");
    expect(await waiting()).toBe(2);
    expect(await jsm.streams.getMessage("CDC_SHOP", { seq: 5 }).catch(() => null)).toBeNull();

    const dropped = await runCommand(["erase", "shop", "99", "--yes"], { cwd });
    expect([dropped.code, dropped.stderr]).toEqual([0, ""]);
    expect(dropped.stdout).toContain("CDC_SHOP #99: cdc.shop.public.orders.created.p00 shop.5");
    expect(await waiting()).toBe(1);
  });

  test("is not while a start could publish it once more, or where the stream was made with deny_delete", async () => {
    const server = await freshNats();
    const jsm = await jetstreamManager(await client(server));
    await write(server, order(1), order(2));
    const { signal } = new AbortController();
    const refusal = (sequence: number): Promise<unknown> =>
      eraseEvent({ servers: [server.url], source: shop, sequence, signal, confirm: async () => true });
    const template = (await write(server, order(3))) && (await jsm.streams.getMessage("CDC_SHOP", { seq: 2 }));
    await jetstream(await client(server)).publish(template?.subject ?? "", "{}");
    const { state } = await jsm.streams.info("CDC_SHOP");
    await expect(refusal(state.last_seq)).rejects.toMatchObject({ code: "ERASE_TOO_NEW" });
    await jsm.streams.update("CDC_SHOP", { deny_delete: true });
    await expect(refusal(2)).rejects.toMatchObject({ code: "ERASE_DENIED" });
  });
});

describe.skipIf(missing("nats"))("the source of a stream from which messages were taken out", () => {
  for (const [what, gone] of [
    ["the message that its checkpoint names", [5]],
    ["the newest ones, the checkpoint's among them", [3, 4, 5]],
    ["all but the checkpoint's", [1, 2, 3, 4]],
    ["all of them", [1, 2, 3, 4, 5]],
  ] as const) {
    test(`goes on where it stood: ${what}`, async () => {
      const server = await freshNats();
      const jsm = await deletable(server);
      await write(server, order(1), order(2), order(3), order(4)); // 1 is the writer's marker
      for (const seq of gone) await jsm.streams.deleteMessage("CDC_SHOP", seq);

      const { resume, log } = await write(server, order(5));
      expect([resume, log.count("bus_messages_lost")]).toEqual([place(4), 0]);
      await write(server);
      const { state } = await jsm.streams.info("CDC_SHOP");
      expect([state.num_deleted ?? 0, state.last_seq]).toEqual([
        state.last_seq - state.messages - state.first_seq + 1,
        8,
      ]);
      expect((await subjects(server)).filter((subject) => subject.startsWith("cdc."))).toHaveLength(
        5 - gone.filter((seq) => seq > 1).length,
      );
    });
  }

  test.each([
    [
      "by somebody",
      "error",
      (jsm: JetStreamManager) => jsm.streams.deleteMessage("CDC_SHOP", 2),
      expect.stringMatching(/millrace verify/),
    ],
    [
      "on purpose",
      "info",
      (_: JetStreamManager, servers: readonly string[]) =>
        eraseEvent({
          servers,
          source: shop,
          sequence: 2,
          signal: new AbortController().signal,
          confirm: async () => true,
        }),
      undefined,
    ],
  ])(
    "believes what was stored behind one that was deleted %s, and says so at level %s",
    async (_, level, remove, hint) => {
      const server = await freshNats();
      const jsm = await deletable(server);
      await write(server, order(1)); // 1, 2
      const { signal } = new AbortController();
      const bus = await openJetStreamBus({
        servers: [server.url],
        replicas: 1,
        fsync: "always",
        log: new RecordedLog(),
        signal,
      });
      const writer = await bus.stream(shop).openWriter(signal); // 3
      for (const n of [2, 3, 4]) {
        await writer.write([order(n)]);
        await writer.flush(20_000);
      }
      await writer[Symbol.asyncDispose](); // without a checkpoint behind 2
      await bus[Symbol.asyncDispose]();
      await remove(jsm, [server.url]);

      const { resume, log } = await write(server);
      expect([resume, log.count("bus_messages_lost")]).toEqual([place(4), 0]);
      const fields = { source: "shop", from: 2, to: 2, code: "BUS_MESSAGES_REMOVED", ...(hint && { hint }) };
      expect(log.lines.filter(({ event }) => event === "bus_messages_removed")).toEqual([
        { level, event: "bus_messages_removed", fields },
      ]);
    },
  );

  test("refuses a limit of one message a subject, and goes on behind what it took once it is lifted", async () => {
    const server = await freshNats();
    const jsm = await deletable(server);
    await write(server, ...Array.from({ length: 60 }, (_, at) => order(at + 1)));
    await jsm.streams.update("CDC_SHOP", { max_msgs_per_subject: 1 });
    await expect(write(server, order(61))).rejects.toMatchObject({ code: "STREAM_UNFIT" });
    await jsm.streams.update("CDC_SHOP", { max_msgs_per_subject: -1 });

    expect((await write(server, order(61))).resume).toBe(place(60));
    expect((await write(server, order(62))).resume).toBe(place(61));
  });
});
