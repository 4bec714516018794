// What the contract of the bus is held against: something that buses of several workers share, of whichever kind.

import type { Bus } from "../../src/bus/bus.ts";
import type { BusTiming } from "../../src/bus/jetstream/jetstream-bus.ts";
import type { Fsync } from "../../src/bus/jetstream/lease/horizon.ts";
import type { Logger } from "../../src/telemetry/logger.ts";
import type { StreamEvent } from "../support/bus/stream-events.ts";
import type { TestTime } from "../support/virtual-time.ts";

export interface BusSettings {
  readonly fsync: Fsync;
  readonly timing: Partial<BusTiming>;
  readonly log: Logger;
}

/** A worker that can be made to stand still. */
export interface StandingWorker {
  readonly bus: Bus;
  standStill(): void;
  goOn(): Promise<void>;
}

export interface BusServer extends AsyncDisposable {
  readonly time: TestTime;
  /** The bus of one worker. */
  open(settings: BusSettings): Promise<Bus>;
  openStanding(settings: BusSettings): Promise<StandingWorker>;
  /** All messages of a stream as another subscriber sees them, bodies fetched; none when there is no such stream. */
  read(stream: string): Promise<readonly StreamEvent[]>;
}
