// A source without writes, for hours of virtual time, on a bus that syncs when it likes: what it is told, and when.

import { expect, test } from "vitest";
import { CheckpointStore, withIdle } from "../../../src/bus/jetstream/lease/checkpoint-store.ts";
import { StoredConnectorState } from "../../../src/bus/jetstream/lease/connector-state.ts";
import { Lease } from "../../../src/bus/jetstream/lease/lease.ts";
import { establish, newestLease } from "../../../src/bus/jetstream/recovery/establish.ts";
import { JetStreamWriter } from "../../../src/bus/jetstream/writer/writer.ts";
import type { WriterOptions } from "../../../src/bus/jetstream/writer/writer-options.ts";
import type { Writer } from "../../../src/bus/source-stream.ts";
import type { Position } from "../../../src/event/position.ts";
import { onlyPosition, type Positions } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { type CheckpointOptions, keepCheckpoints } from "../../../src/worker/checkpoint.ts";
import { Random, ScriptedPort, ScriptedServer } from "../../support/bus/scripted-bus.ts";
import { place, reached, transaction } from "../../support/postgres/transactions.ts";

const source = "shop" as SourceId;
const FSYNC_MS = 120_000;
/** As the worker sends them. */
const HEARTBEAT_MS = 15_000;
const HOURS = 3;
/** Twice the fsync; the pings before and behind it, and one between two saves; a heartbeat. */
const LONGEST_MS = 2 * FSYNC_MS + (3 * FSYNC_MS) / 8 + HEARTBEAT_MS;

/** A worker's bus side, fed with heartbeats; all in virtual time. */
class Idle {
  readonly server = new ScriptedServer(new Random(1));
  readonly #reached: { readonly at: number; readonly position: Position }[] = [];
  firstAcknowledgedMs: number | undefined;
  longestMs = 0;
  longestHeldMs = 0;
  #place = 1000;
  #writer: Writer | undefined;

  /** Starts a worker; it ends with the signal. */
  async start(signal: AbortSignal): Promise<void> {
    const { clock } = this.server;
    const port = new ScriptedPort(this.server, 1, 1000);
    const newestUsed = (): Promise<number> => newestLease(port, source);
    const common = { port, clock, source, instance: "w" };
    const leasing = { port: port.leases, clock, instance: "w", ttlMs: 3000, newestUsed, onWaiting: () => {} };
    const lease = await Lease.acquire(leasing, signal);
    const checkpoints = new CheckpointStore(port.state, source);
    const options: WriterOptions = {
      ...common,
      lease,
      checkpoints,
      memory: new StoredConnectorState(port.state, source),
      fsync: FSYNC_MS,
      log: silentLogger,
      leaseTtlMs: 3000,
      markerEveryMs: 5 * 60_000,
      maxAwayMs: 300_000,
      idleCheckMs: 30_000,
      hasBody: async () => true,
      onForeign: () => {},
      onRemoved: () => {},
      on: {},
    };
    const start = { highest: 0, created: undefined, reason: "start", signal };
    const writer = new JetStreamWriter(
      options,
      await establish({ ...options, ...start, ...(await checkpoints.load()) }),
    );
    this.#writer = writer;
    const reader = {
      acknowledge: async (positions: Positions) => this.#acknowledged(onlyPosition(positions)),
    } as CheckpointOptions["reader"];
    const counts = { saving: () => {}, saved: () => {}, acknowledged: () => {} };
    const untilNextSave = (): Promise<void> => clock.sleep(1000, signal);
    keepCheckpoints({ reader, writer, counts, probe: () => {}, untilNextSave }).catch(() => {});
    signal.addEventListener("abort", () => void writer[Symbol.asyncDispose]());
  }

  /** Lets hours pass, with a heartbeat each now and then. */
  async pass(ms: number): Promise<void> {
    const { clock } = this.server;
    for (let passed = 0; passed < ms; passed += 500) {
      if (passed % HEARTBEAT_MS === 0 && this.#writer) {
        const position = place(++this.#place);
        this.#reached.push({ at: clock.now(), position });
        void this.#writer.write([{ type: "commit", position }]);
      }
      await this.#turn();
      clock.advance(500);
      this.#look();
    }
  }

  async write(): Promise<void> {
    await this.#writer?.write(transaction(source, ++this.#place));
  }

  async #turn(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve));
    while (this.server.deliver());
  }

  #look(): void {
    const [oldest] = this.#reached;
    if (oldest) this.longestMs = Math.max(this.longestMs, this.server.clock.now() - oldest.at);
    this.longestHeldMs = Math.max(this.longestHeldMs, this.#writer?.heldForFsync().oldestMs ?? 0);
  }

  #acknowledged(position = "" as Position): void {
    this.firstAcknowledgedMs ??= this.server.clock.now();
    while (this.#reached[0] && this.#reached[0].position <= position) this.#reached.shift();
  }
}

/** What the server answers, with as much time as that takes. */
async function served<Result>(server: ScriptedServer, asking: Promise<Result>): Promise<Result> {
  let done = false;
  void asking.finally(() => {
    done = true;
  });
  while (!done) {
    if (!server.deliver()) server.clock.advance(50);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return asking;
}

async function started(): Promise<Idle & { stop(): void }> {
  const idle = new Idle();
  idle.server.dropsNothing = true;
  const stopping = new AbortController();
  await served(idle.server, idle.start(stopping.signal));
  return Object.assign(idle, { stop: () => stopping.abort() });
}

test(`is acknowledged within twice bus.fsync and three pings from its first start on, for ${HOURS} hours`, async () => {
  const idle = await started();
  await idle.pass(HOURS * 3_600_000);
  idle.stop();

  expect(idle.firstAcknowledgedMs).toBeLessThan(LONGEST_MS);
  expect(idle.longestMs).toBeLessThan(LONGEST_MS);
});

test("is acknowledged as soon after its last write as at any other time", async () => {
  const idle = await started();
  await idle.pass(20 * 60_000);
  await idle.write();
  await idle.pass(20 * 60_000);
  idle.stop();

  expect(idle.longestMs).toBeLessThan(LONGEST_MS);
});

test("goes on from the place behind what the stream still reaches, of all that were saved, when it lost its newest events", async () => {
  const server = new ScriptedServer(new Random(1));
  server.dropsNothing = true;
  const store = new CheckpointStore(new ScriptedPort(server, 1, 1000).state, source);
  const mark = { streamSeq: 1, id: "1", streamCreated: "then" };
  const save = (position: Position, behind: Position | undefined): Promise<void> =>
    served(
      server,
      store.save(
        {
          ...mark,
          positions: reached(position),
          unstored: reached(position),
          behind: behind && reached(behind),
          durable: behind === undefined,
          ended: new Set(),
          progress: undefined,
        },
        1,
      ),
    );
  await save(place(10), undefined);
  await save(place(20), place(10));
  await save(place(25), place(10));
  await save(place(40), place(30));
  const { idle } = await served(server, store.load());

  expect(withIdle(reached(place(30)), "then", idle)).toEqual(reached(place(40)));
  expect(withIdle(reached(place(10)), "then", idle)).toEqual(reached(place(25))); // 30 was never synced
  expect(withIdle(reached(place(10)), "another stream", idle)).toEqual(reached(place(10)));

  await save(place(40), undefined);
  await save(place(50), place(40));
  expect((await served(server, store.load())).idle?.places).toEqual([{ behind: place(40), position: place(50) }]);
});
