// A worker of the model: supervisor, pump, writer, recovery, lease and checkpoints are the product's own; the bus below them is
// scripted, and so is the source.

import { ordersOf } from "../../../src/backfill/order.ts";
import { dataRefTo, pointerTo } from "../../../src/bus/claim-check.ts";
import { EventEncoder } from "../../../src/bus/encode-event.ts";
import { StoredConnectorState } from "../../../src/bus/jetstream/lease/connector-state.ts";
import { streamFacts } from "../../../src/bus/jetstream/recovery/stream-facts.ts";
import type { openWriter } from "../../../src/bus/jetstream/writer/open-writer.ts";
import type { Clock } from "../../../src/clock.ts";
import { TransientError, toError } from "../../../src/errors.ts";
import type { Positions } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Source } from "../../../src/source/source.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { SourceTracker } from "../../../src/worker/source-status.ts";
import type { superviseSource } from "../../../src/worker/supervise-source.ts";
import type { ScriptedPort, ScriptedServer } from "../bus/scripted-bus.ts";
import type { ScriptedDatabase } from "./scripted-database.ts";
import { scriptedConnector } from "./scripted-source.ts";

/** The code under test; a mutant comes as other functions of the same names. */
export interface Protocol {
  readonly openWriter: typeof openWriter;
  readonly superviseSource: typeof superviseSource;
}

export const MODEL = "model" as SourceId;
export const SYNC_MS = 5000;
/** Of a message: what is larger is kept apart. */
export const MAX_MESSAGE_BYTES = 1200;

const LAG_EVERY_MS = 15_000;
const LONGEST_PAUSE_MS = 500;
const counts = createMetrics().source(MODEL);

/** The object store: what was not synced when the power goes is lost. */
export class ModelBodies {
  readonly #stored = new Map<string, boolean>();

  put(name: string): void {
    if (!this.#stored.has(name)) this.#stored.set(name, false);
  }

  has(name: string): boolean {
    return this.#stored.has(name);
  }

  sync(): void {
    for (const name of this.#stored.keys()) this.#stored.set(name, true);
  }

  /** Returns how many are gone. */
  losePower(): number {
    const lost = [...this.#stored].filter(([, synced]) => !synced);
    for (const [name] of lost) this.#stored.delete(name);
    return lost.length;
  }
}

export interface ModelWorkerOptions {
  readonly protocol: Protocol;
  readonly server: ScriptedServer;
  readonly port: ScriptedPort;
  readonly database: ScriptedDatabase;
  readonly bodies: ModelBodies;
  readonly instance: string;
}

export class ModelWorker {
  readonly port: ScriptedPort;
  /** What ended it, though nobody had killed it. */
  ended: Error | undefined;
  readonly #options: ModelWorkerOptions;
  readonly #stop = new AbortController();

  constructor(options: ModelWorkerOptions) {
    this.#options = options;
    this.port = options.port;
    this.#run().catch((error: unknown) => {
      if (!this.port.killed) this.ended = toError(error);
    });
  }

  /** SIGKILL: nothing is flushed, released or heard of any more; what was sent lingers. */
  kill(): void {
    this.port.kill();
    this.#stop.abort();
  }

  #run(): Promise<void> {
    const { protocol, server, port, database, bodies } = this.#options;
    const { clock, random } = server;
    const encoder = new EventEncoder(MODEL);
    const memory = new StoredConnectorState(port.state, MODEL);
    const config = { database, onGap: "stop" } as const;
    return protocol.superviseSource({
      tracker: new SourceTracker({ id: MODEL, kind: "scripted", counts, clock, log: silentLogger }),
      stream: {
        maxMessageBytes: MAX_MESSAGE_BYTES,
        maxHeadBytes: MAX_MESSAGE_BYTES,
        encode: (event) => encoder.encode(event),
        encodeCopied: (row, place) => encoder.copied(row, place),
        claim: async (message) => {
          const ref = dataRefTo(message);
          await clock.sleep(random.below(30));
          if (port.killed) return new Promise(() => {});
          bodies.put(ref.name);
          return pointerTo(message, ref);
        },
        openWriter: (signal, on = {}) => this.#openWriter(memory, signal, on),
        loadMemory: () => memory.load(),
        saveMemory: (value) => memory.save(value),
        ...streamFacts(port, MODEL),
      },
      maxEventBytes: Number.POSITIVE_INFINITY,
      preflight: (context) => scriptedConnector.preflight(MODEL, config, context),
      open: async (context, schemas) => this.#mortal(await scriptedConnector.open(MODEL, config, context, schemas)),
      schemas: port.state,
      backfillOrders: ordersOf(port.state, MODEL),
      deadLetter: async () => {},
      announceGap: async () => {},
      lineageKey: async () => "key",
      adopt: false,
      onGap: "stop",
      probe: () => {
        if (random.chance(0.0005)) this.kill();
      },
      clock: impatient(clock),
      log: silentLogger,
      saveEveryMs: 300,
      lagEveryMs: LAG_EVERY_MS,
      signal: this.#stop.signal,
    });
  }

  #openWriter(
    memory: StoredConnectorState,
    signal: AbortSignal,
    on: Parameters<typeof openWriter>[2]["on"],
  ): ReturnType<typeof openWriter> {
    const { protocol, server, port, bodies, instance } = this.#options;
    const { clock, random } = server;
    return protocol.openWriter(port, MODEL, {
      clock,
      instance,
      leases: port.leases,
      leaseTtlMs: 3000,
      state: port.state,
      memory,
      fsync: SYNC_MS,
      log: silentLogger,
      markerEveryMs: 10_000,
      maxAwayMs: 300_000,
      idleCheckMs: 5000,
      hasBody: async ({ name }) => {
        await clock.sleep(1);
        if (random.chance(0.01)) throw new TransientError("BUS_UNREACHABLE", "no answer about a body");
        return bodies.has(name);
      },
      prepare: async () => {},
      onRemoved: () => {},
      onForeign: () => {},
      onClosed: async () => {},
      signal,
      on,
    });
  }

  /** Once the worker is killed, its source is told nothing more. */
  #mortal(source: Source): Source {
    const told = source.acknowledge.bind(source);
    return Object.assign(source, {
      acknowledge: async (positions: Positions) => {
        if (!this.port.killed) await told(positions);
      },
    });
  }
}

/** A schedule is minutes long: whoever failed many times must not miss the rest of it. */
function impatient(clock: Clock): Clock {
  return {
    now: () => clock.now(),
    wall: () => clock.wall(),
    sleep: (ms, signal) => clock.sleep(ms === LAG_EVERY_MS ? ms : Math.min(ms, LONGEST_PAUSE_MS), signal),
  };
}
