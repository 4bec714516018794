// Walking a stream: a right one passes whatever it has lived through, and each thing that can be wrong is found.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { EventEncoder } from "../../../src/bus/encode-event.ts";
import { createStream } from "../../../src/bus/jetstream/client/streams.ts";
import { openJetStreamBus } from "../../../src/bus/jetstream/jetstream-bus.ts";
import { type VerifyReport, verifyStream } from "../../../src/bus/jetstream/verify/verify-stream.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import type { StreamMessage } from "../../../src/event/message.ts";
import type { Position } from "../../../src/event/position.ts";
import { onlyPosition, positionsAt } from "../../../src/event/positions.ts";
import { markerAt } from "../../../src/event/source-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { copyBatch } from "../../support/bus/copied-rows.ts";
import { messageMaker, ordersCreated } from "../../support/bus/encoded.ts";
import { runCommand } from "../../support/process/run-command.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const shop = "shop" as SourceId;
const make = messageMaker(shop);
const place = (n: number, mark: "" | "+" = ""): Position =>
  `0001.${n.toString(16).padStart(16, "0")}${mark}` as Position;

/** Events of one transaction, from the position `first` on. */
function transaction(id: number, first: number, count: number): StreamMessage[] {
  return Array.from({ length: count }, (_, nth) => {
    const position = place(first + nth, nth === count - 1 ? "+" : "");
    return make({ kind: ordersCreated, key: "1", transaction: String(id), position });
  });
}

function walk(server: NatsServer, range: { from?: number; to?: number } = {}): Promise<VerifyReport> {
  const { signal } = new AbortController();
  return verifyStream({
    servers: [server.url],
    source: shop,
    ...range,
    onProgress: () => {},
    log: silentLogger,
    signal,
  });
}

/** What our own writer stores: opens it, writes, and gives the lease back. */
async function write(server: NatsServer, save: boolean, ...messages: readonly StreamMessage[]): Promise<void> {
  const { signal } = new AbortController();
  const options = { servers: [server.url], replicas: 1, fsync: "always", log: silentLogger, signal } as const;
  const bus = await openJetStreamBus(options);
  const writer = await bus.stream(shop).openWriter(signal);
  await writer.write(messages);
  await writer.flush(20_000);
  if (save) {
    const newest = messages.at(-1)?.position;
    let mark = await writer.nextMark();
    while (onlyPosition(mark.positions) !== newest) mark = await writer.nextMark();
    await writer.save(mark);
  }
  await writer[Symbol.asyncDispose]();
  await bus[Symbol.asyncDispose]();
}

async function client(server: NatsServer): Promise<NatsConnection> {
  const nc = await connect({ servers: server.url });
  onTestFinished(() => nc.close());
  return nc;
}

describe.skipIf(missing("nats"))("a right stream passes", () => {
  test("with transactions of all sizes, several writers, and a row that could not travel", async () => {
    const server = await freshNats();
    await write(server, false, ...transaction(1, 1, 1), ...transaction(2, 2, 3), ...transaction(3, 10, 2500));
    const poison = markerAt(shop, "poison", place(3000, "+"), { code: "ROW_UNDECODABLE" });
    const within = { id: "4", time: "2026-01-01T00:00:00.000000Z", lineage: undefined };
    const marked = new EventEncoder(shop).encode({ ...poison, transaction: within });
    await write(server, false, marked, ...transaction(5, 4000, 2));

    const report = await walk(server);

    expect(report).toMatchObject({ ok: true, from: 1, wrong: {}, findings: [], events: 2506, transactions: 5 });
    expect(report.markers).toEqual({ writer: 2, poison: 1 });
    expect(report.notes).toMatchObject([{ kind: "poison", about: { code: "ROW_UNDECODABLE" } }]);
    expect(report.messages).toBe(2509);
    expect(report.to).toBe(2509);
  });

  test("with rows of a copy, which repeat a place, have ids that do not rise, and may come again in another copy", async () => {
    const server = await freshNats();
    const bus = await openJetStreamBus({
      ...{ servers: [server.url], replicas: 1, fsync: "always", log: silentLogger },
      signal: new AbortController().signal,
    });
    const writer = await bus.stream(shop).openWriter(new AbortController().signal);
    for (const tx of [1, 2, 3]) {
      const events = transaction(tx, 10 * tx, 3);
      await writer.write(events);
      const { position } = events.at(-1) as StreamMessage;
      await writer.insert(copyBatch(shop, positionsAt({ position }), tx, ["2", "1"]));
    }
    await writer[Symbol.asyncDispose]();
    await bus[Symbol.asyncDispose]();

    const report = await walk(server);

    expect(report).toMatchObject({ ok: true, wrong: {}, events: 15, transactions: 3, batches: 6 });
    expect(report.markers).toEqual({ writer: 1, backfill: 3 });
  });

  test("a part of it, begun and ended in the middle of transactions and batches", async () => {
    const server = await freshNats();
    await write(server, false, ...transaction(1, 1, 2500));

    expect(await walk(server, { from: 500, to: 1700 })).toMatchObject({
      ok: true,
      from: 500,
      to: 1700,
      messages: 1201,
    });
    await expect(walk(server, { from: 9000 })).rejects.toMatchObject({ code: "VERIFY_RANGE" });
  });

  test("after the bus had lost the stream and the source was read again", async () => {
    const server = await freshNats();
    const jsm = await jetstreamManager(await client(server));
    await write(server, true, ...transaction(1, 1, 4), ...transaction(2, 5, 4));
    await jsm.streams.delete("CDC_SHOP");
    await createStream(jsm, shop, { replicas: 1, firstSeq: 1 });
    await write(server, false, ...transaction(1, 1, 4), ...transaction(2, 5, 4));

    const report = await walk(server);

    expect(report).toMatchObject({ ok: true, events: 8, markers: { lost: 9, writer: 1, history: 1 } });
    expect(report.notes).toMatchObject([
      { kind: "lost", sequence: 1, about: { from: 1, to: 9 } },
      { kind: "history", about: { lost: { from: 1 } } },
    ]);
  });

  test("while it is being written to, and when retention has taken its beginning", async () => {
    const server = await freshNats();
    const jsm = await jetstreamManager(await client(server));
    await write(server, false, ...transaction(1, 1, 30), ...transaction(2, 31, 2));
    await jsm.streams.update("CDC_SHOP", { max_msgs: 10 });

    let done = false;
    const writing = write(server, false, ...transaction(3, 100, 900), ...transaction(4, 2000, 900)).finally(() => {
      done = true;
    });
    while (!done) expect(await walk(server)).toMatchObject({ ok: true });
    await writing;
    expect(await walk(server)).toMatchObject({ ok: true, messages: 10 });
  });

  test("an empty one passes, one that is not there is named", async () => {
    const server = await freshNats();
    await expect(walk(server)).rejects.toMatchObject({ name: "ConfigError", code: "VERIFY_NO_STREAM" });

    await createStream(await jetstreamManager(await client(server)), shop, { replicas: 1, firstSeq: 1 });

    expect(await walk(server)).toMatchObject({ ok: true, messages: 0 });
  });
});

/** A stream made by hand, which may hold anything. */
class Crafted {
  readonly server: NatsServer;
  readonly nc: NatsConnection;
  #newest: string | undefined;

  private constructor(server: NatsServer, nc: NatsConnection) {
    this.server = server;
    this.nc = nc;
  }

  static async create(): Promise<Crafted> {
    const server = await freshNats();
    const nc = await client(server);
    const subjects = ["cdc.shop.>", "meta.shop.>"];
    await (await jetstreamManager(nc)).streams.add({ name: "CDC_SHOP", subjects, allow_atomic: true });
    return new Crafted(server, nc);
  }

  /** An event as it should be, but for the lines given; an undefined one is left out. */
  async event(
    tx: number,
    at: number,
    mark: "" | "+",
    lines: Readonly<Record<string, string | undefined>> = {},
  ): Promise<void> {
    const position = place(at, mark);
    await this.put("cdc.shop.public.orders.created.p00", {
      "ce-source": "/shop",
      "ce-id": `shop.${place(at)}`,
      "Cdc-Tx": String(tx),
      "Cdc-Tx-Last": mark === "+" ? "1" : undefined,
      "Cdc-Pos": position,
      "Cdc-Prev": this.#newest,
      ...lines,
    });
    this.#newest = "Cdc-Pos" in lines ? lines["Cdc-Pos"] : position;
  }

  async copied(key: string, position: Position): Promise<void> {
    await this.put("cdc.shop.public.orders.read.p00", {
      ...{ "ce-source": "/shop", "ce-id": `shop.b1.16384.${key}`, "Cdc-Pos": position, "Cdc-Prev": this.#newest },
    });
    this.#newest = position;
  }

  async marker(lease: number): Promise<void> {
    await this.put("meta.shop.writer", { "ce-source": "/shop", "ce-id": `shop.writer.${lease}.1` });
  }

  /** A transaction in one atomic batch. */
  async batch(tx: number, first: number, count: number): Promise<void> {
    for (let nth = 1; nth <= count; nth++) {
      await this.event(tx, first + nth - 1, nth === count ? "+" : "", {
        "Nats-Batch-Id": `batch-${first}`,
        "Nats-Batch-Sequence": String(nth),
        "Nats-Batch-Commit": nth === count ? "1" : undefined,
        ...(nth > 1 ? { "Cdc-Prev": undefined } : {}),
      });
    }
  }

  async put(subject: string, lines: Readonly<Record<string, string | undefined>>): Promise<void> {
    const head = headers();
    for (const [name, value] of Object.entries(lines)) if (value !== undefined) head.append(name, value);
    // Inside a batch nobody answers before its commit.
    if (head.has("Nats-Batch-Id") && !head.has("Nats-Batch-Commit")) this.nc.publish(subject, "{}", { headers: head });
    else await jetstream(this.nc).publish(subject, "{}", { headers: head });
  }

  async remove(...sequences: readonly number[]): Promise<void> {
    const jsm = await jetstreamManager(this.nc);
    for (const seq of sequences) await jsm.streams.deleteMessage("CDC_SHOP", seq);
  }
}

type Wrong = readonly [
  fault: string,
  make: (stream: Crafted) => Promise<void>,
  found: readonly (readonly [string, number])[],
];

const faults: readonly Wrong[] = [
  [
    "a message removed from inside",
    async (stream) => {
      for (const n of [1, 2, 3, 4]) await stream.event(n, n, "+");
      await stream.remove(2, 3);
    },
    [
      ["SEQUENCE_HOLE", 2],
      ["CHAIN_BROKEN", 4],
    ],
  ],
  [
    "the newest message removed",
    async (stream) => {
      for (const n of [1, 2, 3]) await stream.event(n, n, "+");
      await stream.remove(3);
    },
    [["SEQUENCE_HOLE", 3]],
  ],
  [
    "a message of an atomic batch removed",
    async (stream) => {
      await stream.event(1, 1, "+");
      await stream.batch(2, 2, 3);
      await stream.event(3, 9, "+");
      await stream.remove(3);
    },
    [
      ["SEQUENCE_HOLE", 3],
      ["BATCH_INCOMPLETE", 4],
      ["BATCH_INCOMPLETE", 4],
    ],
  ],
  [
    "the end of an atomic batch removed",
    async (stream) => {
      await stream.batch(1, 1, 3);
      await stream.remove(3);
    },
    [
      ["SEQUENCE_HOLE", 3],
      ["BATCH_INCOMPLETE", 2],
    ],
  ],
  [
    "a position that falls, and with it the ids",
    async (stream) => {
      await stream.event(1, 5, "+");
      await stream.event(2, 3, "+");
      await stream.event(3, 4, "+");
    },
    [
      ["POSITION_FALLS", 2],
      ["EVENT_REPEATED", 2],
    ],
  ],
  [
    "a Cdc-Prev that names another position, and one that is missing",
    async (stream) => {
      await stream.event(1, 1, "+");
      await stream.event(2, 2, "+", { "Cdc-Prev": place(9, "+") });
      await stream.event(3, 3, "+", { "Cdc-Prev": undefined });
      await stream.event(4, 4, "+");
    },
    [
      ["CHAIN_BROKEN", 2],
      ["CHAIN_BROKEN", 3],
    ],
  ],
  [
    "large events whose bodies are not there, or nowhere to be found",
    async (stream) => {
      const digest = { "Cdc-Size": "7", "Cdc-Sha256": "ab".repeat(32) };
      await stream.event(1, 1, "+");
      await stream.event(2, 2, "+", { "ce-dataref": "millrace_large/gone", ...digest });
      await stream.event(3, 3, "+", { "ce-dataref": "elsewhere/gone", ...digest });
    },
    [
      ["BODY_MISSING", 2],
      ["BODY_MISSING", 3],
    ],
  ],
  [
    "an event that is there twice",
    async (stream) => {
      await stream.event(1, 1, "+");
      await stream.event(2, 2, "");
      await stream.event(2, 2, "");
      await stream.event(2, 3, "+");
    },
    [["EVENT_REPEATED", 3]],
  ],
  [
    "marks of a transaction's end that do not agree, and an event behind the last one",
    async (stream) => {
      await stream.event(1, 1, "+", { "Cdc-Tx-Last": undefined });
      await stream.event(1, 2, "", { "Cdc-Tx-Last": "1" });
      await stream.event(1, 3, "+");
    },
    [
      ["TRANSACTION_MARKS", 1],
      ["TRANSACTION_MARKS", 2],
      ["TRANSACTION_MARKS", 3],
    ],
  ],
  [
    "rows of a copy inside of a transaction",
    async (stream) => {
      await stream.event(1, 1, "+");
      await stream.copied("2", place(1, "+"));
      await stream.event(2, 2, "");
      await stream.copied("1", place(2));
      await stream.copied("3", place(2, "+"));
      await stream.event(2, 3, "+");
    },
    [
      ["TRANSACTION_MARKS", 4],
      ["TRANSACTION_MARKS", 5],
    ],
  ],
  [
    "a transaction without its end",
    async (stream) => {
      await stream.event(1, 1, "");
      await stream.event(2, 2, "+");
    },
    [["TRANSACTION_TORN", 2]],
  ],
  [
    "a writer that comes back behind its successor",
    async (stream) => {
      for (const lease of [1, 1, 3, 2, 3]) await stream.marker(lease);
    },
    [["LEASE_FALLS", 4]],
  ],
  [
    "an event without its position, and one without its id",
    async (stream) => {
      await stream.event(1, 1, "+", { "Cdc-Pos": undefined });
      await stream.event(2, 2, "+", { "ce-id": undefined });
    },
    [
      ["HEADERS_MISSING", 1],
      ["HEADERS_MISSING", 2],
    ],
  ],
  [
    "a message of somebody else",
    async (stream) => {
      await stream.event(1, 1, "+");
      await stream.put("cdc.shop.public.orders.created.p00", { hello: "world" });
      await stream.event(2, 2, "+");
    },
    [["BUS_FOREIGN_WRITE", 2]],
  ],
];

describe.skipIf(missing("nats"))("found is", () => {
  test.each(faults)("%s", async (_, make, found) => {
    const stream = await Crafted.create();
    await make(stream);
    await stream.nc.flush();

    const report = await walk(stream.server);

    expect(report.findings.map(({ code, sequence }) => [code, sequence])).toEqual(found);
    expect(report.ok).toBe(false);
    for (const { what, means, fix } of report.findings)
      expect(Math.min(what.length, means.length, fix.length)).toBeGreaterThan(10);
  });

  test("every fault is counted, however many are told", async () => {
    const stream = await Crafted.create();
    for (let n = 0; n < 120; n++) await stream.put("cdc.shop.x", {});

    const report = await walk(stream.server);

    expect([report.findings.length, report.wrong]).toEqual([100, { BUS_FOREIGN_WRITE: 120 }]);
  });
});

/** The documented contract of `--json`. */
const reportSchema = z.strictObject({
  source: z.string(),
  stream: z.string(),
  from: z.int(),
  to: z.int(),
  messages: z.int(),
  events: z.int(),
  transactions: z.int(),
  batches: z.int(),
  markers: z.record(z.string(), z.int()),
  notes: z.array(z.strictObject({ kind: z.string(), sequence: z.int(), about: z.record(z.string(), z.unknown()) })),
  wrong: z.record(z.string(), z.int()),
  findings: z.array(
    z.strictObject({ code: z.string(), sequence: z.int(), what: z.string(), means: z.string(), fix: z.string() }),
  ),
  ok: z.boolean(),
});

describe.skipIf(missing("nats"))("the command", () => {
  async function inDirectory(server: NatsServer): Promise<string> {
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ bus: { servers: server.url }, sources: {} }));
    return cwd;
  }

  test("ends with 0 when nothing is wrong, and with 3 when something is, told with its fix", async () => {
    const stream = await Crafted.create();
    const cwd = await inDirectory(stream.server);
    await stream.event(1, 1, "+");
    const right = await runCommand(["verify", "shop"], { cwd });
    await stream.event(2, 2, "+", { "Cdc-Prev": "\u001b[31mred" });
    const wrong = await runCommand(["verify", "shop"], { cwd });

    expect(right).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^CDC_SHOP 1 to 1: 1 messages.*\nnothing is wrong\n$/),
    });
    expect(wrong).toMatchObject({ code: 3, stderr: "" });
    expect(wrong.stdout).toMatch(/\n#2 CHAIN_BROKEN: .*\[31mred\n {2}means: .+\n {2}fix: .+\n1 wrong\n$/);
    expect(wrong.stdout).not.toContain("\u001b");
  });

  test("--json prints the documented object; --from and --to walk a part", async () => {
    const stream = await Crafted.create();
    const cwd = await inDirectory(stream.server);
    await stream.marker(1);
    for (const n of [1, 2, 3]) await stream.event(n, n, "+");
    await stream.put("cdc.shop.x", {});

    const all = await runCommand(["verify", "shop", "--json"], { cwd });
    const part = await runCommand(["verify", "shop", "--json", "--from", "2", "--to", "3"], { cwd });

    expect(all.code).toBe(3);
    expect(reportSchema.parse(JSON.parse(all.stdout))).toMatchObject({
      ok: false,
      messages: 5,
      markers: { writer: 1 },
    });
    expect(part.code).toBe(0);
    expect(reportSchema.parse(JSON.parse(part.stdout))).toMatchObject({ ok: true, from: 2, to: 3, messages: 2 });
  });

  test("a source that cannot be one, a stream that is not there and a wrong number end with 2", async () => {
    const cwd = await inDirectory(await freshNats());
    for (const [args, code] of [
      [["Shop!"], "VERIFY_SOURCE"],
      [["shop"], "VERIFY_NO_STREAM"],
      [["shop", "--from", "0"], "CLI_USAGE"],
    ] as const) {
      const ended = await runCommand(["verify", ...args], { cwd });
      expect(ended).toMatchObject({ code: 2, stderr: expect.stringMatching(new RegExp(`^${code}: .+\nfix: .+\n$`)) });
    }
  });

  test("it leaves no consumer behind", async () => {
    const stream = await Crafted.create();
    await stream.event(1, 1, "+");
    await walk(stream.server);

    const jsm = await jetstreamManager(stream.nc);
    await waitFor(async () => (await jsm.getAccountInfo()).consumers === 0, { what: "no consumer" });
  });
});
