// Stops the key of an event that has come to its bad end, until a person says to try it anew or to make it a dead letter, and
// then obeys. What is on record of it is said in blocked-keys.ts.

import { type SourceId, streamName } from "../../event/source-id.ts";
import { AttemptsRecord } from "../deliver/attempts.ts";
import type { AutomationParts } from "../deliver/automation-parts.ts";
import type { Block } from "../deliver/job.ts";
import { mayPass } from "../outcome/unavailable.ts";
import { type Asked, type BlockedKey, BlockedKeys } from "./blocked-keys.ts";
import type { LaneEvent } from "./lane-event.ts";
import type { Hand, Parking } from "./parking.ts";

/** How often it is looked for what a person has said of blocked keys. */
const askMs = 1000;

export interface BlockingOptions extends Pick<AutomationParts, "automation" | "bus" | "clock" | "signal"> {
  readonly source: SourceId;
  /** The durable's name. */
  readonly durable: string;
  readonly hand: Pick<Hand, "find" | "whole">;
  readonly parking: Pick<Parking, "read">;
  /** It waits for its turn once more. */
  readonly putBack: (event: LaneEvent) => void;
  /** Repeats an operation while the bus is away. */
  readonly persist: <Result>(operation: () => Promise<Result>) => Promise<Result>;
  /** Nothing that a later try can mend. */
  readonly failed: (error: unknown) => void;
}

export class Blocking {
  readonly #options: BlockingOptions;
  readonly #records: BlockedKeys;
  /** By lane. */
  readonly #blocked = new Map<string, { readonly event: LaneEvent; readonly since: number }>();
  #asking = false;

  constructor(options: BlockingOptions) {
    this.#options = options;
    const { bus, automation, durable, source } = options;
    this.#records = new BlockedKeys(bus.state, automation.id, durable, source);
  }

  /** What the keys of all that is on record begin with. */
  get prefix(): string {
    return this.#records.prefix;
  }

  /** Since when which keys are blocked, ms since 1970. */
  get since(): readonly number[] {
    return [...this.#blocked.values()].map(({ since }) => since);
  }

  /** Stops its key: on record before it is said. @throws MillraceError */
  async block(event: LaneEvent, { reason, attempts, error }: Block): Promise<void> {
    event.state = "blocked";
    const { clock, persist, parking } = this.#options;
    const message = event.inner ?? (await parking.read(event));
    const { name, message: text } = error;
    const key: BlockedKey = {
      ...{ lane: event.lane, sequence: event.sequence, id: message?.header("ce-id") ?? "", since: clock.wall() },
      ...{ reason, attempts, error: { name, message: text } },
    };
    const { since } = await persist(() => this.#records.block(key));
    if (event.state !== "blocked" || event.dropped) return;
    this.#blocked.set(event.lane, { event, since });
    if (!this.#asking) void this.#ask();
  }

  /** Its event is settled: its key is stopped no more. */
  settled({ lane }: LaneEvent): void {
    if (this.#blocked.delete(lane)) void this.#forget(lane);
  }

  /** Its event is out of the hand, and the record stays: whoever is handed it next finds its key blocked. */
  letGo(event: LaneEvent): void {
    if (this.#blocked.get(event.lane)?.event === event) this.#blocked.delete(event.lane);
  }

  /** Of blocked keys whose event is not in hand though all is: it was settled, and the record left behind by a kill. */
  async forgetStale(): Promise<void> {
    const { hand, persist } = this.#options;
    for (const { lane, sequence } of await persist(() => this.#records.all())) {
      if (hand.find(sequence) === undefined && hand.whole !== undefined) await this.#forget(lane);
    }
  }

  /** Looks what a person has said, for as long as a key is blocked. */
  async #ask(): Promise<void> {
    this.#asking = true;
    const { clock, signal } = this.#options;
    while (this.#blocked.size > 0 && !signal.aborted) {
      for (const [lane, { event }] of this.#blocked) {
        try {
          const asked = (await this.#records.find(lane))?.asked;
          if (asked !== undefined && event.state === "blocked") await this.#obey(event, asked);
        } catch (error) {
          if (!mayPass(error)) this.#options.failed(error);
        }
      }
      await clock.sleep(askMs, signal);
    }
    this.#asking = false;
  }

  /** First what is remembered of it is forgotten, then the block: killed in between, it is begun anew all the same. */
  async #obey(event: LaneEvent, asked: Asked): Promise<void> {
    const { bus, automation, source } = this.#options;
    if (asked === "drop") {
      event.drop = true;
    } else {
      const place = { stream: streamName(source), sequence: event.sequence, run: event.inner?.run };
      await new AttemptsRecord(bus.state, automation.id, place, "").clear();
      this.#blocked.delete(event.lane);
      await this.#records.clear(event.lane);
    }
    if (event.state === "blocked" && !event.dropped) this.#options.putBack(event);
  }

  async #forget(lane: string): Promise<void> {
    await this.#options.persist(() => this.#records.clear(lane)).catch(() => {}); // it is cleared when it is found stale
  }
}
