// Which events of an automation have something on record. The bus says how often it has handed an event out, but one that was
// killed forgets its newest deliveries: then an event that was tried before comes as if for the first time.

import type { Bus } from "../../bus/bus.ts";
import { attemptsKey, attemptsOf, type Named } from "./attempts.ts";

export class OnRecord {
  readonly #bus: Pick<Bus, "interruptions" | "state">;
  readonly #automation: string;
  readonly #persist: <Result>(operation: () => Promise<Result>) => Promise<Result>;
  #known: { readonly interruptions: number; readonly keys: ReadonlySet<string> } | undefined;
  #looking: Promise<void> | undefined;

  /** @param persist repeats what asks the bus while it is away */
  constructor(
    bus: Pick<Bus, "interruptions" | "state">,
    automation: string,
    persist: <Result>(operation: () => Promise<Result>) => Promise<Result>,
  ) {
    this.#bus = bus;
    this.#automation = automation;
    this.#persist = persist;
  }

  /**
   * Whether an event had a record at the first look, or when the connection to the bus last broke; what was put on record since
   * is of events that the bus counts right. At once, but for the first time and behind each break. @throws MillraceError
   */
  has(delivery: Named): boolean | Promise<boolean> {
    const { keys, interruptions } = this.#known ?? {};
    if (keys === undefined || interruptions !== this.#bus.interruptions())
      return this.look().then(() => this.has(delivery));
    return keys.size > 0 && keys.has(attemptsKey(this.#automation, delivery));
  }

  /** Looks, so that the first events need not wait for it. @throws MillraceError */
  look(): Promise<void> {
    this.#looking ??= this.#persist(async () => {
      const interruptions = this.#bus.interruptions();
      const keys = new Set(await this.#bus.state.keys(attemptsOf(this.#automation)));
      this.#known = { interruptions, keys };
    }).finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }
}
