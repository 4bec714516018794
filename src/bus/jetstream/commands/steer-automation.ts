// Pauses an automation, lets it go on, or moves it to another place, with or without a worker that runs: what is asked is one
// record on the bus, which all workers obey. Before the record nothing is begun; behind it all of it is done, by whoever comes.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { realClock } from "../../../clock.ts";
import { ConfigError } from "../../../errors.ts";
import { type Asked, type Control, controlKey, durableName, OBEY_MS, type Seek } from "../../../event/control.ts";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import type { StateStore } from "../../state-store.ts";
import type { BusAccess } from "../client/access.ts";
import { STATE_BUCKET } from "../client/buckets.ts";
import { asked } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import { firstSince } from "../client/first-since.ts";
import { openStateStore } from "../client/state-store.ts";
import { findStream } from "../client/streams.ts";
import { forgetOlder } from "../consumer/forget-older.ts";
import { type AutomationOnBus, automationsOnBus, readControl } from "./automations-on-bus.ts";

/** What a worker needs at most to open its durables anew, behind the time in which it obeys. */
const OPEN_MS = 5000;
const LOOK_MS = 200;

export interface SteeringAccess extends BusAccess {
  readonly replicas: number;
  readonly signal: AbortSignal;
}

/** What came of it. */
export interface Steered {
  /** Whether it was on record before. */
  readonly already: boolean;
  /** Whether a worker pulls for the automation; behind a pause, whether one did. */
  readonly running: boolean;
  readonly control: Control;
}

/** A connection that automations are looked at and steered by. */
export interface AutomationSteering extends AsyncDisposable {
  /** What automations keep on the bus. */
  readonly state: StateStore;
  /** @param ids those of the configuration */
  list(ids: readonly string[]): Promise<readonly AutomationOnBus[]>;
  /** Resolves when no worker begins a handler any more. Paused before, it stays so, by whoever did it first. */
  pause(automation: string, by: Asked): Promise<Steered>;
  /** Resolves when a worker has begun, or none has within the time in which one would. */
  resume(automation: string): Promise<Steered>;
  /** Resolves when workers have begun there, or none has, and what is left of the place before is taken away. */
  seek(automation: string, to: SeekTarget, sources: readonly SourceId[], by: Asked): Promise<Steered>;
}

/** The first message, behind the newest one, at the first that was stored at that time or later, or at a sequence. */
export type SeekTarget = "earliest" | "now" | Date | number;

/** @throws ConfigError, TransientError */
export async function openAutomationSteering({
  signal,
  replicas,
  ...access
}: SteeringAccess): Promise<AutomationSteering> {
  const connection = await connectOnce(access, signal);
  try {
    const jsm = await jetstreamManager(connection.nc, { checkAPI: false });
    const state = await openStateStore(connection.nc, { bucket: STATE_BUCKET, replicas });
    return new OnBus(connection, jsm, state, signal);
  } catch (thrown) {
    await connection[Symbol.asyncDispose]();
    throw thrown;
  }
}

class OnBus implements AutomationSteering {
  readonly #connection: AsyncDisposable;
  readonly #jsm: JetStreamManager;
  readonly state: StateStore;
  readonly #signal: AbortSignal;

  constructor(connection: AsyncDisposable, jsm: JetStreamManager, state: StateStore, signal: AbortSignal) {
    this.#connection = connection;
    this.#jsm = jsm;
    this.state = state;
    this.#signal = signal;
  }

  list(ids: readonly string[]): Promise<readonly AutomationOnBus[]> {
    return automationsOnBus(this.#jsm, this.state, ids);
  }

  async pause(automation: string, by: Asked): Promise<Steered> {
    const running = await this.#runs(automation);
    const changed = await this.#change(automation, (known) => (known.paused ? undefined : { ...known, paused: by }));
    // By time, for the bus does not know who has messages in hand: a worker that has not looked for so long begins none.
    await realClock.sleep(OBEY_MS, this.#signal);
    this.#signal.throwIfAborted();
    return { ...changed, running };
  }

  async resume(automation: string): Promise<Steered> {
    const changed = await this.#change(automation, ({ paused, ...known }) => paused && known);
    if (changed.already) return { ...changed, running: await this.#runs(automation) };
    return { ...changed, running: await this.#until(() => this.#runs(automation), OBEY_MS + OPEN_MS) };
  }

  async seek(automation: string, to: SeekTarget, sources: readonly SourceId[], by: Asked): Promise<Steered> {
    const ran = await this.#runs(automation);
    const places = await asked(`look where ${automation} is to go on`, () => this.#places(automation, to, sources));
    const named = to instanceof Date ? to.toISOString() : String(to);
    const changed = await this.#change(automation, (known) => {
      const seek: Seek = { n: (known.seek?.n ?? 0) + 1, to: named, ...by, ...places };
      return { ...known, seek };
    });
    const { paused, seek } = changed.control;
    const running = paused === undefined && ran && (await this.#until(() => this.#runs(automation), OBEY_MS + OPEN_MS));
    await this.#obeyed(by);
    for (const source of sources)
      if ((await findStream(this.#jsm, source)) !== undefined)
        await forgetOlder(this.#jsm, streamName(source), durableName(automation, seek));
    return { ...changed, running };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection[Symbol.asyncDispose]() as Promise<void>;
  }

  /** Waits until no worker goes by what was on record before. */
  async #obeyed({ at }: Asked): Promise<void> {
    await realClock.sleep(OBEY_MS - (Date.now() - Date.parse(at)), this.#signal);
    this.#signal.throwIfAborted();
  }

  async #runs(automation: string): Promise<boolean> {
    const [found] = await this.list([automation]);
    return found?.durables.some(({ pulled }) => pulled) ?? false;
  }

  async #until(condition: () => Promise<boolean>, withinMs: number): Promise<boolean> {
    const end = realClock.now() + withinMs;
    for (;;) {
      if (await condition()) return true;
      if (realClock.now() > end) return false;
      await realClock.sleep(LOOK_MS, this.#signal);
      this.#signal.throwIfAborted();
    }
  }

  /** @param change what to store in place of what is there; undefined where that is right */
  async #change(
    automation: string,
    change: (known: Control) => Omit<Control, "n"> | undefined,
  ): Promise<Omit<Steered, "running">> {
    for (;;) {
      const known = await this.#read(automation);
      const control = known?.control ?? { n: 0 };
      const next = change(control);
      if (next === undefined) return { already: true, control };
      const changed = { ...next, n: control.n + 1 };
      const stored = await this.state.put(controlKey(automation), changed, known?.revision ?? 0);
      if (stored !== undefined) return { already: false, control: changed };
    }
  }

  async #read(automation: string): ReturnType<typeof readControl> {
    try {
      return await readControl(this.state, automation);
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown;
      throw new ConfigError("CONTROL_UNREADABLE", `${controlKey(automation)} is not what this version writes`, {
        hint: `use the version that wrote it, or take it away: nats kv del ${STATE_BUCKET} ${controlKey(automation)}`,
      });
    }
  }

  async #places(
    automation: string,
    to: SeekTarget,
    sources: readonly SourceId[],
  ): Promise<Pick<Seek, "starts" | "skipped">> {
    const [standing] = await this.list([automation]);
    const starts: Record<string, number> = {};
    const skipped: Record<string, readonly [number, number]> = {};
    for (const source of sources) {
      const stream = streamName(source);
      const found = await findStream(this.#jsm, source);
      if (found === undefined) continue; // all that it will hold is new
      const { first_seq, last_seq } = found.state;
      const since = to instanceof Date ? await firstSince(this.#jsm, stream, to) : Number(to);
      const start = to === "earliest" ? first_seq : to === "now" ? last_seq + 1 : since;
      starts[stream] = start;
      const durable = standing?.durables.find((one) => one.stream === stream);
      if (durable === undefined) continue;
      const { ack_floor } = await this.#jsm.consumers.info(stream, durable.durable);
      const first = Math.max(ack_floor.stream_seq + 1, first_seq);
      if (durable.pending + durable.unacked > 0 && first < start) skipped[stream] = [first, start - 1];
    }
    return { starts, ...(Object.keys(skipped).length > 0 ? { skipped } : {}) };
  }
}
