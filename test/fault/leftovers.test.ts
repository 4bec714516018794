// What a lost connection had sent arrives late, at a real server: a proxy between worker and bus keeps it back and delivers
// it after the worker has connected again, or another one has taken over. This is the case that docs/wire.md argues. The
// same cases find out mutants of the publisher; the fourth one (acknowledged at the PubAck) is in lost-messages.test.ts,
// for it needs a loss and no leftovers.

import { once } from "node:events";
import { connect as dial } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker } from "../../src/app.ts";
import { publishes } from "../support/bus/nats-publishes.ts";
import { Random } from "../support/bus/scripted-bus.ts";
import { FaultGround, seedOf } from "../support/fault-ground.ts";
import { loadWorker, type Mutation, mutate } from "../support/mutant.ts";
import { RecordedLog } from "../support/postgres/recorded-log.ts";
import { missing } from "../support/servers.ts";
import { type Leftovers, TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";

type Start = typeof startWorker;

/** A lease that is soon taken over. */
const timing = { leaseTtlMs: 1_000, ackTimeoutMs: 2_000, idleCheckMs: 1_000 };
/** Markers between the events, as when a source is idle. */
const MARKER_MS = 150;

const rounds = Number(process.env.ROUNDS ?? 12);

/** A worker with a wire of its own to each server. */
class Wired implements AsyncDisposable {
  readonly log: RecordedLog = new RecordedLog();
  readonly bus: TcpProxy;
  readonly database: TcpProxy;
  #worker: Worker | undefined;

  private constructor(bus: TcpProxy, database: TcpProxy) {
    this.bus = bus;
    this.database = database;
  }

  static async start(
    ground: FaultGround,
    start: Start,
    { fsync = "always", markers = false }: { readonly fsync?: string; readonly markers?: boolean } = {},
  ): Promise<Wired> {
    const wired = new Wired(await TcpProxy.start(ground.nats.port), await TcpProxy.start(ground.database.server.port));
    const urls = { natsUrl: wired.bus.url(ground.nats.url), databaseUrl: wired.database.url(ground.database.url) };
    wired.#worker = await start(ground.configuration({ ...urls, fsync }), {
      log: wired.log,
      timing: markers ? { ...timing, markerEveryMs: MARKER_MS } : timing,
    });
    wired.#worker.finished.catch(() => {}); // told by the judge
    return wired;
  }

  get running(): boolean {
    return this.#worker?.status().sources[0]?.state === "running";
  }

  /** Waits until it has seen that another one holds the lease; from then on it does not reach the database. */
  async standBy(): Promise<void> {
    await waitFor(() => this.log.count("source_waiting_for_lease") > 0, { what: "a worker to stand by" });
    this.database.blackHole();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.bus.heal(), this.database.heal()]);
    await this.#worker?.stop();
    await Promise.all([this.bus[Symbol.asyncDispose](), this.database[Symbol.asyncDispose]()]);
  }
}

/** Where the acknowledgements go of the batches that are on their way whole. */
const batches = ({ connections }: Leftovers): readonly string[] => connections.flatMap(publishes);

async function listen(ground: FaultGround): Promise<NatsConnection> {
  const connection = await connect({ servers: ground.nats.url, maxReconnectAttempts: -1 });
  onTestFinished(() => connection.close());
  return connection;
}

/** Lets them arrive, and waits until the server has answered each, be it to nobody. */
async function arrive(
  listener: NatsConnection,
  leftovers: Leftovers,
  deliver = () => leftovers.deliver(),
): Promise<void> {
  const replies = new Set(batches(leftovers));
  const answers = replies.size;
  let answered = 0;
  const subscriptions = [...replies].map((reply) =>
    listener.subscribe(reply, {
      callback: () => {
        answered++;
      },
    }),
  );
  await listener.flush();
  deliver();
  await waitFor(() => answered >= answers, { what: "the server to answer the leftovers" });
  for (const subscription of subscriptions) subscription.unsubscribe();
}

/** Keeps back what the worker that writes sends next; false when nobody sent anything within half a second. */
async function caught(workers: readonly Wired[]): Promise<{ bus: TcpProxy; leftovers: Leftovers } | false> {
  const kept = workers.map(({ bus }) => ({ bus, leftovers: bus.keepBack() }));
  const onTheWire = (): (typeof kept)[number] | undefined =>
    kept.find(({ leftovers }) => batches(leftovers).length > 0);
  const writing = await waitFor(onTheWire, { what: "a batch", timeoutMs: 500 }).catch(() => false as const);
  for (const { leftovers } of kept) if (writing === false || leftovers !== writing.leftovers) leftovers.deliver();
  return writing;
}

async function insert(ground: FaultGround, ids: readonly number[]): Promise<void> {
  for (const id of ids) await ground.database.query("insert into item(id, sub) values ($1, 0)", [id]);
}

/** Waits until the stream holds this row. */
async function stored(ground: FaultGround, id: number): Promise<void> {
  const newest = async (): Promise<boolean> =>
    (await ground.lastMessage("cdc.shop.public.item.created.*"))?.text.includes(`"id":"${id}"`) === true;
  await waitFor(newest, { what: `row ${id} in the stream` });
}

async function held(leftovers: Leftovers, count: number): Promise<void> {
  await waitFor(() => batches(leftovers).length >= count, { what: `${count} batches on the wire` });
}

/**
 * A worker's events are on their way when it is cut off for good; another one takes over, and before it has read anything
 * they arrive.
 */
async function takenOver(ground: FaultGround, start: Start, inFlight: number): Promise<void> {
  const listener = await listen(ground);
  await using first = await Wired.start(ground, start);
  await waitFor(() => first.running, { what: "the first worker" });
  await insert(ground, [1]);
  await stored(ground, 1);
  await using second = await Wired.start(ground, start);
  await second.standBy();

  const leftovers = first.bus.keepBack();
  for (const [n, id] of [2, 3, 4, 5].entries()) {
    await insert(ground, [id]);
    // Else two of them may travel together.
    await held(leftovers, Math.min(n + 1, inFlight));
  }
  await first.bus.refuse();
  leftovers.cut();
  const before = (await ground.lastMessage("meta.shop.writer"))?.text;
  // The new marker, before anything that is renewed.
  const marked = async (): Promise<boolean> => {
    const marker = JSON.parse((await ground.lastMessage("meta.shop.writer"))?.text ?? "{}");
    return marker.lease > JSON.parse(before ?? "{}").lease;
  };
  await waitFor(marked, { what: "the second worker's marker" });
  await arrive(listener, leftovers);
  await Promise.all([first.bus.heal(), second.database.heal()]);
  await ground.judge();
}

/** A worker's event is on its way when its connection is lost; it arrives while the same worker finds out where it is. */
async function whileRecovering(ground: FaultGround, start: Start): Promise<void> {
  const listener = await listen(ground);
  await using worker = await Wired.start(ground, start);
  await waitFor(() => worker.running, { what: "the worker" });
  await insert(ground, [1]);
  await stored(ground, 1);

  const leftovers = worker.bus.keepBack();
  await insert(ground, [2]);
  await held(leftovers, 1);
  // Slow from now on: between two questions of the worker there is time for what comes.
  worker.bus.delay(100);
  let arrived: Promise<void> | undefined;
  const reads = listener.subscribe("$JS.API.STREAM.MSG.GET.CDC_SHOP", {
    callback: () => {
      arrived ??= arrive(listener, leftovers);
    },
  });
  await listener.flush();
  leftovers.cut();
  await waitFor(() => arrived !== undefined, { what: "the worker to read its stream" });
  await arrived;
  reads.unsubscribe();
  await worker.bus.heal();
  await ground.judge();
}

/**
 * The bus loses its newest messages together with everyone who knew of them, and a message that was sent before arrives
 * afterwards, at the very number it was made for. No single server does that by itself, for its connections end with
 * it: here somebody in the middle connects anew and sends what he still has, as a route of a cluster would.
 */
async function afterLoss(ground: FaultGround, start: Start): Promise<void> {
  await using first = await Wired.start(ground, start, { fsync: "2m" });
  await waitFor(() => first.running, { what: "the first worker" });
  await insert(ground, [1]);
  await stored(ground, 1);

  await ground.copyStore();
  await insert(ground, [2, 3, 4]);
  await stored(ground, 4);
  const leftovers = first.bus.keepBack();
  await insert(ground, [5]);
  await held(leftovers, 1);
  const bytes = leftovers.bytes;
  const expected = Number(/HPUB cdc[\s\S]*?Nats-Expected-Last-Sequence: (\d+)/.exec(bytes.toString("latin1"))?.[1]);
  await first.bus.refuse();
  leftovers.cut();
  await first[Symbol.asyncDispose]();
  await ground.losePower();

  // Not before: a connection that the power cut has ended cannot say when it is back.
  const listener = await listen(ground);
  await using second = await Wired.start(ground, start, { fsync: "2m", markers: true });
  await second.standBy();
  // It renews its marker while it waits for the database, so that the stream comes by the number again.
  await waitFor(async () => (await ground.state()).lastSeq === expected, { what: "the number" });
  await arrive(listener, leftovers, () => void sendAgain(ground.nats.port, bytes));
  await second.database.heal();
  await ground.judge();
}

/** A client of its own, which says what another one had said. */
async function sendAgain(port: number, bytes: Buffer): Promise<void> {
  const socket = dial(port, "127.0.0.1");
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, "connect");
  socket.write('CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"protocol":1}\r\n');
  socket.write(bytes);
}

const noToken = {
  file: "bus/jetstream/stream/encode.ts",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the source text of a template
  find: "Nats-Expected-Last-Subject-Sequence: ${fence.token}\\r\\nNats-Expected-Last-Subject-Sequence-Subject: ${fence.tokenSubject}\\r\\n",
  replace: "",
};

/** Each batch but a marker and each fourth counts as acknowledged when it is sent. */
const fourInFlight = {
  file: "bus/jetstream/stream/jetstream-port.ts",
  find: "  send(batch: readonly Encoded[]): Promise<PublishAck> {\n",
  replace: `  #inFlight = 0;
  send(batch: readonly Encoded[]): Promise<PublishAck> {
    const first = Buffer.from(batch[0]?.headers ?? []).toString("latin1");
    const expected = Number(/Nats-Expected-Last-Sequence: (\\d+)/.exec(first)?.[1]);
    const sent = this.sendOne(batch);
    if (batch.some(({ subject }) => subject.startsWith("meta.")) || this.#inFlight >= 3) return sent;
    this.#inFlight++;
    sent.catch(() => {}).finally(() => this.#inFlight--);
    return Promise.resolve({ seq: expected + batch.length, batch: undefined, count: batch.length });
  }
  sendOne(batch: readonly Encoded[]): Promise<PublishAck> {
`,
};

interface Case {
  readonly mutation: Mutation;
  readonly scenario: (ground: FaultGround, start: Start, mutated: boolean) => Promise<void>;
}

const cases: readonly Case[] = [
  { mutation: { name: "no token, whole", edits: [noToken] }, scenario: afterLoss },
  {
    mutation: {
      name: "tail read before the marker, whole",
      edits: [
        {
          file: "bus/jetstream/recovery/establish.ts",
          find: "    const found = await lookForLoss(options);\n",
          replace:
            "    const early = (await port.info())?.lastSeq ?? 0;\n    if (early > 0) await readWithRetry(port, options.clock, early);\n    const found = await lookForLoss(options);\n",
        },
        {
          file: "bus/jetstream/recovery/establish.ts",
          find: "verifiedTail(walk, marker.seq - 1,",
          replace: "verifiedTail(walk, early,",
        },
      ],
    },
    scenario: whileRecovering,
  },
  {
    mutation: { name: "four batches in flight without a token, whole", edits: [noToken, fourInFlight] },
    scenario: (ground, start, mutated) => takenOver(ground, start, mutated ? 4 : 1),
  },
];

describe.skipIf(missing("postgres", "nats"))("what a lost connection had sent", () => {
  test.each(cases)(
    "$mutation.name: arrives late and does no harm, but to the mutant",
    async ({ mutation, scenario }) => {
      {
        await using ground = await FaultGround.start();
        await scenario(ground, startWorker, false);
      }
      const mutant = await loadWorker(await mutate(mutation));
      await using ground = await FaultGround.start();
      await expect(scenario(ground, mutant, true)).rejects.toThrow(/things wrong/);
    },
  );

  test(`arrives late again and again, to one worker or the next (${rounds} rounds)`, async () => {
    const seed = seedOf("leftovers");
    const random = new Random(seed);
    await using ground = await FaultGround.start();
    const listener = await listen(ground);
    await using first = await Wired.start(ground, startWorker, { markers: true });
    await using second = await Wired.start(ground, startWorker, { markers: true });
    const workers = [first, second];
    await waitFor(() => workers.some(({ running }) => running), { what: "a worker to read" });
    await using load = ground.write(seed);
    for (let round = 0; round < rounds; round++) {
      const writing = await waitFor(() => caught(workers), { what: "something on the wire" });
      // Or the other worker takes over meanwhile.
      if (random.chance(0.4)) await writing.bus.refuse();
      writing.leftovers.cut();
      await delay(random.below(2_000));
      await arrive(listener, writing.leftovers);
      await writing.bus.heal();
    }
    await load.stop();
    await ground.judge();
  });
});
