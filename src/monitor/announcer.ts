// Tells the bus what the guards saw: once for all workers, however long the bus is away, and not again after a restart.

import type { Bus } from "../bus/bus.ts";
import { MillraceError, toError } from "../errors.ts";
import type { SourceId } from "../event/source-id.ts";
import { systemEvent } from "../event/system-event.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { GuardEvent } from "./guard.ts";

/** What was told last of a source's measure, in `millrace_state`. */
interface AnnouncedState {
  /** Counts what was told: it makes the event's id. */
  readonly n: number;
  readonly state: GuardEvent["state"];
}

type AnnouncerBus = Pick<Bus, "publish" | "state" | "connected">;

/** Only the newest of each measure waits: what came between is over. */
export class Announcer {
  readonly #log: Logger;
  readonly #waiting = new Map<string, { readonly source: SourceId; readonly event: GuardEvent }>();
  #telling = false;
  #said: string | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** How many wait for the bus. */
  get waiting(): number {
    return this.#waiting.size;
  }

  put(source: SourceId, event: GuardEvent): void {
    this.#waiting.set(`guard.${source}.${event.measure}${event.state === "full" ? ".full" : ""}`, { source, event });
  }

  /** Tells what waits, if the bus is there; what fails waits for the next time. Never rejects. */
  async tell(bus: AnnouncerBus): Promise<void> {
    if (this.#telling || !bus.connected()) return;
    this.#telling = true;
    try {
      for (const [key, waiting] of this.#waiting) {
        await tellOnce(bus, key, waiting);
        if (this.#waiting.get(key) === waiting) this.#waiting.delete(key);
      }
      this.#said = undefined;
    } catch (thrown) {
      const error = toError(thrown);
      const { code, hint } = error instanceof MillraceError ? error : { code: "UNEXPECTED", hint: undefined };
      if (code !== this.#said) this.#log.warn("guard_mute", { code, hint }, error.message);
      this.#said = code;
    } finally {
      this.#telling = false;
    }
  }
}

/** First the event, then the note: killed between the two, the same id is told again, and the bus drops it. */
async function tellOnce(
  bus: AnnouncerBus,
  key: string,
  { source, event }: { readonly source: SourceId; readonly event: GuardEvent },
): Promise<void> {
  for (;;) {
    const entry = await bus.state.get(key);
    const told = (entry?.value as AnnouncedState | undefined) ?? { n: 0, state: "recovered" };
    if (told.state === event.state && event.state !== "full") return; // another worker, or this one before a restart
    const { measure, state: name, value = null, limit } = event;
    const n = told.n + 1;
    const data = { source, measure, state: name, value, limit, ...("action" in event ? { action: event.action } : {}) };
    await bus.publish(systemEvent("lag", name, `${source}.${measure}.${name}.${n}`, data));
    if ((await bus.state.put(key, { n, state: name } satisfies AnnouncedState, entry?.revision ?? 0)) !== undefined)
      return;
  }
}
