// Looks after a durable of a stream that drops nothing but what was acked: there is no gap to look for, only whether the
// durable is still the one on record.

import type { Subscription } from "../../subscription.ts";
import { asked } from "../client/bus-errors.ts";
import type { Durable } from "./durable.ts";
import { lifeOf } from "./durable-settings.ts";
import { isOnRecord } from "./settled-watermark.ts";
import type { AccountedRecord } from "./watermark-record.ts";

export interface DurableWatchOptions {
  readonly record: AccountedRecord;
  readonly durable: Pick<Durable, "look">;
}

export class DurableWatch implements Pick<Subscription, "missed" | "accept" | "settledThrough"> {
  readonly #options: DurableWatchOptions;

  constructor(options: DurableWatchOptions) {
    this.#options = options;
  }

  /** Never anything. @throws TransientError while the bus is away, and when the durable has to be opened anew */
  async missed(): Promise<undefined> {
    const { record, durable } = this.#options;
    await asked("look at the durable of what waits for a retry", async () => {
      const { created, config } = await durable.look();
      const look = { life: lifeOf(config), created };
      await record.change((known) =>
        isOnRecord(known, look) && known.durable?.created !== created ? { ...known, durable: look } : undefined,
      );
    });
  }

  async accept(): Promise<void> {}

  /** What waits there for its time holds up nothing behind it: no number says up to where all is settled. */
  settledThrough(): number {
    return 0;
  }
}
