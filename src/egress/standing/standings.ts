// How the endpoints stand, looked up every second for all of them at once.

import type { Bus } from "../../bus/bus.ts";
import type { Clock } from "../../clock.ts";
import { TransientError } from "../../errors.ts";
import { endpointEvent } from "../../event/system-event.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { changeStanding, ENDPOINT_PREFIX, endpointKey, parseStanding, type Standing } from "./record.ts";

const LOOK_MS = 1000;

export interface StandingsOptions {
  readonly bus: Pick<Bus, "state" | "publish">;
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class Standings {
  readonly #options: StandingsOptions;
  readonly #known = new Map<string, Standing>();
  #looked: Promise<void> | undefined;

  constructor(options: StandingsOptions) {
    this.#options = options;
  }

  /** As of the last look; undefined for one that was never changed. */
  of(name: string): Standing | undefined {
    return this.#known.get(name);
  }

  /** Resolves once it was looked. @throws TransientError while the bus is away and it never was */
  known(): Promise<void> {
    this.#looked ??= this.#look().catch((error: unknown) => {
      this.#looked = undefined;
      throw error;
    });
    return this.#looked;
  }

  /** Looks regularly until the signal; never rejects. */
  async watch(): Promise<void> {
    const { clock, log, signal } = this.#options;
    while (!signal.aborted) {
      await this.#look().catch((error: unknown) => {
        if (!(error instanceof TransientError)) log.error("endpoints_unknown", { code: "BUG" }, String(error));
      });
      await clock.sleep(LOOK_MS, signal);
    }
  }

  /** @throws TransientError while the bus is away */
  async change(name: string, next: (known: Standing | undefined) => Omit<Standing, "n"> | undefined): Promise<void> {
    const { bus } = this.#options;
    const tell = (standing: Standing): Promise<void> => bus.publish(endpointEvent(name, standing));
    const { standing } = await changeStanding(bus.state, name, next, tell);
    if (standing !== undefined) this.#learn(name, standing);
  }

  async #look(): Promise<void> {
    const { bus, names } = this.#options;
    const there = new Set(await bus.state.keys(ENDPOINT_PREFIX));
    const asked = names.filter((name) => there.has(endpointKey(name)) || this.#known.has(name));
    await Promise.all(asked.map((name) => this.#find(name)));
  }

  async #find(name: string): Promise<void> {
    const { bus, clock } = this.#options;
    const entry = await bus.state.get(endpointKey(name));
    const known = this.#known.get(name);
    let found: Standing | undefined;
    try {
      found = entry && parseStanding(entry.value);
    } catch {
      // Whoever put it there wanted something: until it is known, nothing is sent.
      const [n, at] = [known?.n ?? 0, known?.at ?? new Date(clock.wall()).toISOString()];
      const by = "a record that this version cannot read";
      this.#known.set(name, { n, state: "paused", by, at, reason: "asked" });
      return;
    }
    // A bus that was set back forgot it.
    if (known !== undefined && (found?.n ?? 0) < known.n)
      await bus.state.put(endpointKey(name), known, entry?.revision ?? 0);
    else if (found !== undefined) this.#learn(name, found);
  }

  #learn(name: string, standing: Standing): void {
    const known = this.#known.get(name);
    if (known !== undefined && known.n >= standing.n) return;
    this.#known.set(name, standing);
    const { by, at, reason, state } = standing;
    if ((known?.state ?? "open") === state) return;
    const { log } = this.#options;
    if (state === "open") log.info("endpoint_resumed", { endpoint: name, by, at, reason });
    else log.warn(`endpoint_${state}`, { endpoint: name, by, at, reason });
  }
}
