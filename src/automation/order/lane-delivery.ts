// A delivery that stays in its lane: what retries it leaves it in hand, and it is settled when the next of its key may begin.

import type { Delivery } from "../../bus/subscription.ts";
import { TransientError } from "../../errors.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import type { Carried } from "../../event/retry-message.ts";
import type { Block } from "../deliver/job.ts";

/** What a lane's delivery needs of whoever has the lane in hand. */
export interface LaneHold {
  /** Whether it is surely still ours, by what keeps its lane ours on the bus. */
  readonly ours: boolean;
  /** Whether a handler may begin for it now. */
  readonly free: boolean;
  /** Whether it is not the first time that it begins here, or may not be. */
  readonly again: boolean;
  readonly remade: boolean;
  readonly follows: number | undefined;
  /** Whether an event that has come to its bad end stops its key, instead of becoming a dead letter. */
  readonly blocks: boolean;
  regained(withinMs: number): Promise<boolean>;
  /** Whether its event still stands where it did. */
  stands(): Promise<boolean>;
  /** Resolves when it is settled, so that the next of the lane may begin. @param reason of a dead letter @throws TransientError */
  settle(reason: string | undefined): Promise<void>;
}

export class LaneDelivery implements Delivery {
  readonly subject: string;
  readonly stream: string;
  readonly sequence: number;
  readonly run: string | undefined;
  readonly carried: Carried | undefined;
  readonly follows: number | undefined;
  /** What became of it. */
  settled = false;
  /** To be begun once more after so long. */
  againMs: number | undefined;
  blocked: Block | undefined;
  readonly #message: StoredMessage;
  readonly #hold: LaneHold;
  #body: Uint8Array | undefined;

  /** @param inner as the bus handed it out; undefined of one that was parked, and read back */
  constructor(message: StoredMessage, inner: Delivery | undefined, stream: string, hold: LaneHold) {
    this.stream = inner?.stream ?? stream;
    this.run = inner?.run;
    this.carried = inner?.carried;
    this.subject = message.subject;
    this.sequence = message.sequence;
    this.follows = hold.follows;
    this.#message = message;
    this.#hold = hold;
  }

  get data(): Uint8Array {
    return this.#body ?? this.#message.data;
  }

  withBody(data: Uint8Array): void {
    this.#body = data;
  }

  header(name: string): string | undefined {
    return this.#message.header(name);
  }

  headers(): Readonly<Record<string, string>> {
    return this.#message.headers?.() ?? {};
  }

  get again(): boolean {
    return this.#hold.again;
  }

  get remade(): boolean {
    return this.#hold.remade;
  }

  get ours(): boolean {
    return this.#hold.ours;
  }

  get free(): boolean {
    return this.#hold.free;
  }

  /** What is handed out once more is told to the one in the lane. */
  succeed(): void {}

  regained(withinMs: number): Promise<boolean> {
    return this.#hold.regained(withinMs);
  }

  stands(): Promise<boolean> {
    return this.#hold.stands();
  }

  ack(): Promise<void> {
    return this.#settle(undefined);
  }

  terminate(reason: string): Promise<void> {
    return this.#settle(reason);
  }

  retry(delayMs: number): void {
    this.againMs = delayMs;
  }

  /** Its attempts are used up: whether its key stands still for it, until a person says what to do. */
  block(block: Block): boolean {
    if (this.#hold.blocks) this.blocked = block;
    return this.#hold.blocks;
  }

  /** The whole hand is kept alive at once. */
  working(): void {}

  /** What is another's by now is settled by that one alone: else the next of its key could begin beside it. */
  async #settle(reason: string | undefined): Promise<void> {
    if (!(this.ours || (await this.#hold.regained(0)))) {
      throw new TransientError(
        "AUTOMATION_NOT_OURS",
        "an event was handed to another worker before it had ended here",
        {
          hint: "nothing to do: that one settles it",
        },
      );
    }
    await this.#hold.settle(reason);
    this.settled = true;
  }
}
