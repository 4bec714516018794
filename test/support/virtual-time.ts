// Time as a test sees it: real, or virtual and moved on for as long as something is awaited.

import { setImmediate as turn } from "node:timers/promises";
import { type Clock, realClock } from "../../src/clock.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface TestTime {
  readonly clock: Clock;
  /** Awaits it; virtual time goes on meanwhile. */
  when<T>(awaited: Promise<T>): Promise<T>;
}

export const realTime: TestTime = { clock: realClock, when: (awaited) => awaited };

const STEP_MS = 10;

export class VirtualTime implements TestTime {
  readonly clock = new VirtualClock();

  /** All that needs no time is done first: then time goes on by a step, and so on. */
  async when<T>(awaited: Promise<T>): Promise<T> {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    awaited.then(settle, settle);
    for (;;) {
      await turn();
      if (settled) return awaited;
      this.clock.advance(STEP_MS);
    }
  }
}

/** A clock that can be made to stand still for whoever sleeps by it, as for a process that is stopped. */
export class StoppableClock implements Clock {
  readonly #clock: Clock;
  #stopped: Promise<void> | undefined;
  #goOn: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  wall(): number {
    return this.#clock.wall();
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await this.#clock.sleep(ms, signal);
    await this.#stopped;
  }

  stop(): void {
    this.#stopped = new Promise((resolve) => {
      this.#goOn = resolve;
    });
  }

  goOn(): void {
    this.#stopped = undefined;
    this.#goOn();
  }
}
