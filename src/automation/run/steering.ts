// What people ask of a worker's automations while they run: looked up every second for all of them at once, and obeyed.

import { setMaxListeners } from "node:events";
import type { StateStore } from "../../bus/state-store.ts";
import type { Clock } from "../../clock.ts";
import { TransientError } from "../../errors.ts";
import {
  CONTROL_PREFIX,
  type Control,
  controlKey,
  durableName,
  OBEY_MS,
  parseControl,
  type Seek,
  seekRun,
} from "../../event/control.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Stint } from "../deliver/job.ts";
import { mayPass } from "../outcome/unavailable.ts";

const LOOK_MS = 1000;
/** By an older look no handler begins: so a pause holds for all workers within `OBEY_MS`, also for one that the bus does not reach. */
const FRESH_MS: number = OBEY_MS - 500;

export interface SteeringOptions {
  readonly state: StateStore;
  readonly automations: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether nobody can ask for anything: then the first look is the last, and never too old. */
  readonly alone: boolean;
  readonly signal: AbortSignal;
}

export class Steering {
  readonly #options: SteeringOptions;
  readonly #known = new Map<string, Control>();
  readonly #steered: Steered[] = [];
  #lookedMs: number = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  constructor(options: SteeringOptions) {
    this.#options = options;
  }

  /** Whether it was looked recently enough for a handler to begin. @param now by the steady clock */
  freshAt(now: number): boolean {
    return now - this.#lookedMs <= FRESH_MS;
  }

  /** Whether it was ever looked. */
  get known(): boolean {
    return this.#lookedMs !== Number.NEGATIVE_INFINITY;
  }

  control(automation: string): Control | undefined {
    return this.#known.get(automation);
  }

  /** @param signal ends all of its stints */
  of(automation: string, signal: AbortSignal): Steered {
    const steered = new Steered(this, automation, signal);
    this.#steered.push(steered);
    return steered;
  }

  /** Looks regularly until the signal; never rejects. */
  async watch(): Promise<void> {
    const { alone, clock, log, signal } = this.#options;
    while (!signal.aborted && !(alone && this.known)) {
      await this.look().catch((error: unknown) => {
        if (!mayPass(error)) log.error("automation_failed", { code: "BUG" }, String(error));
      });
      await clock.sleep(LOOK_MS, signal);
    }
  }

  /** Looks once; who asks while it is looked hears of that. @throws TransientError while the bus is away */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { alone, clock, state, automations } = this.#options;
    const began = alone ? Number.POSITIVE_INFINITY : clock.now();
    const there = new Set(await state.keys(CONTROL_PREFIX));
    const asked = automations.filter((id) => there.has(controlKey(id)) || this.#known.has(id));
    await Promise.all(asked.map((id) => this.#learn(id)));
    this.#lookedMs = began;
    for (const steered of this.#steered) steered.looked();
  }

  async #learn(automation: string): Promise<void> {
    const { state, log } = this.#options;
    const entry = await state.get(controlKey(automation));
    const known = this.#known.get(automation);
    let found: Control | undefined;
    try {
      found = entry && parseControl(entry.value);
    } catch {
      // Whoever put it there wanted something: until it is known, nothing begins.
      const paused = known?.paused ?? { by: "a record that this version cannot read", at: new Date().toISOString() };
      this.#known.set(automation, { n: known?.n ?? 0, ...known, paused });
      return;
    }
    // A bus that was set back forgot it; who deletes it by hand takes it back only once no worker knows it any more.
    if (known !== undefined && (found?.n ?? 0) < known.n) {
      await state.put(controlKey(automation), known, entry?.revision ?? 0);
      return;
    }
    if (found === undefined || found.n === known?.n) return;
    this.#known.set(automation, found);
    const changed = found.paused?.at !== known?.paused?.at;
    if (changed && found.paused) log.info("automation_paused", { automation, ...found.paused });
    else if (changed) log.info("automation_resumed", { automation });
    if (found.seek && found.seek.n !== known?.seek?.n) log.info("automation_sought", { automation, ...found.seek });
  }
}

/** One automation, as it is steered. */
export class Steered {
  readonly #steering: Steering;
  readonly #automation: string;
  readonly #signal: AbortSignal;
  readonly #waiting = new Set<() => void>();
  #stint: { readonly stint: Stint; readonly end: AbortController } | undefined;
  /** Called after each look. */
  onLook: () => void = () => {};

  constructor(steering: Steering, automation: string, signal: AbortSignal) {
    this.#steering = steering;
    this.#automation = automation;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake());
  }

  /** Whether a handler may begin, as far as is known of what was asked. @param now by the steady clock */
  freshAt(now: number): boolean {
    return this.#steering.freshAt(now);
  }

  get control(): Control | undefined {
    return this.#steering.control(this.#automation);
  }

  /**
   * Waits until the automation may run; resolves to the stint that it runs by, to undefined at the signal.
   * @throws TransientError when it was never looked and the bus is away
   */
  async stint(): Promise<Stint | undefined> {
    if (!this.#steering.known && !this.#signal.aborted) await this.#steering.look();
    while (!this.#signal.aborted) {
      if (this.control?.paused === undefined) return this.#current();
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
    return undefined;
  }

  looked(): void {
    const { control } = this;
    const over = this.#stint;
    if (over !== undefined && (control?.paused !== undefined || control?.seek?.n !== over.stint.seek?.n)) {
      this.#stint = undefined;
      over.end.abort();
    }
    this.#wake();
    this.onLook();
  }

  #current(): Stint {
    if (this.#stint === undefined) {
      const end = new AbortController();
      const signal = AbortSignal.any([this.#signal, end.signal]);
      setMaxListeners(0, signal); // each event that waits for what is away listens to it
      this.#stint = { stint: this.#stintOf(this.control?.seek, signal), end };
    }
    return this.#stint.stint;
  }

  #stintOf(seek: Seek | undefined, signal: AbortSignal): Stint {
    const newest = (): number | undefined => this.control?.seek?.n;
    return {
      durable: durableName(this.#automation, seek),
      run: seekRun(seek),
      seek,
      signal,
      get replaced() {
        return newest() !== seek?.n;
      },
    };
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** What is said of an automation that is paused. */
export function pausedReason(automation: string, { paused }: Pick<Control, "paused">): TransientError | undefined {
  if (paused === undefined) return undefined;
  return new TransientError(
    "AUTOMATION_PAUSED",
    `${paused.by} paused it at ${paused.at}; what comes meanwhile waits in its streams, for as long as they keep it`,
    { hint: `millrace automations resume ${automation}` },
  );
}
