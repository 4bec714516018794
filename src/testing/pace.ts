// When virtual time goes on: as soon as nothing can happen without it, and never while a handler may be at real work.

import { setTimeout as realSleep, setImmediate as turn } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** What handlers are about, as far as the kit sees it. */
export interface Pace {
  /** Whoever delivers waits by this one. */
  readonly clock: Clock;
  /** Resolves once it is so; time goes on meanwhile. @param look asked again whenever something may have happened */
  until(look: () => boolean | Promise<boolean>): Promise<void>;
  /** A handler was started; call what it returns when it has ended. */
  handlerStarted(): () => void;
  /** A handler waits for a real database; call what it returns when that has answered. */
  databaseAsked(): () => void;
}

/** For how long a database may really take, before virtual time goes on all the same. */
const DATABASE_MS = 30_000;
const POLL_MS = 5;

export class VirtualPace implements Pace {
  readonly clock: Clock;
  readonly #virtual: VirtualClock;
  readonly #patienceMs: number;
  #ownSleepers = 0;
  #handlers = 0;
  #asked = 0;
  /** Raised whenever a handler begins or ends, or a database is asked or answers. */
  #happened = 0;
  /** For what there was no more patience. */
  #given = -1;

  /** @param patienceMs real time that handlers get which wait for something else than the clock */
  constructor(clock: VirtualClock, patienceMs: number) {
    this.#virtual = clock;
    this.#patienceMs = patienceMs;
    this.clock = {
      now: () => clock.now(),
      wall: () => clock.wall(),
      sleep: async (ms, signal) => {
        this.#ownSleepers++;
        await clock.sleep(ms, signal);
        this.#ownSleepers--;
      },
    };
  }

  handlerStarted(): () => void {
    this.#handlers++;
    this.#happened++;
    return () => {
      this.#handlers--;
      this.#happened++;
    };
  }

  databaseAsked(): () => void {
    this.#asked++;
    this.#happened++;
    return () => {
      this.#asked--;
      this.#happened++;
    };
  }

  async until(look: () => boolean | Promise<boolean>): Promise<void> {
    for (;;) {
      await turn();
      await turn();
      if (await look()) return;
      if (await this.#realWork()) continue;
      const ms = this.#virtual.nextMs;
      if (Number.isFinite(ms)) this.#virtual.advance(Math.max(0, ms));
      else await realSleep(POLL_MS); // nobody waits by the clock: whatever it is, it is real
    }
  }

  /** Waits in real time for handlers that wait for something else than the clock; whether something happened. */
  async #realWork(): Promise<boolean> {
    const byTheClock = this.#virtual.sleepers - this.#ownSleepers;
    if (this.#handlers === 0 || byTheClock >= this.#handlers || this.#given === this.#happened) return false;
    const before = this.#happened;
    const patienceMs = this.#asked > 0 ? Math.max(DATABASE_MS, this.#patienceMs) : this.#patienceMs;
    const until = performance.now() + patienceMs;
    while (this.#happened === before && performance.now() < until) {
      await realSleep(POLL_MS);
      if (this.#virtual.sleepers - this.#ownSleepers !== byTheClock) return true;
    }
    if (this.#happened !== before) return true;
    this.#given = before;
    return false;
  }
}
