// A bus that hands out deliveries as written down by a test, and notes what becomes of them: no server, no time.

import { once } from "node:events";
import type { DeadLetter } from "../../../src/automation/deliver/dead-letter.ts";
import type { Bus, LogRecord } from "../../../src/bus/bus.ts";
import type { StateStore } from "../../../src/bus/state-store.ts";
import type { ConsumeOptions, Delivery, Subscription } from "../../../src/bus/subscription.ts";
import type { SourceId } from "../../../src/event/source-id.ts";

/** `returned`: to come again later, or to be settled by another worker. */
export type DeliveryEnd = "acked" | "terminated" | "returned";

export class ScriptedDelivery implements Delivery {
  readonly subject: string = "";
  readonly data: Uint8Array = Buffer.from("{}");
  readonly stream: string = "CDC_SHOP";
  readonly sequence: number = 1;
  readonly again: boolean = false;
  readonly remade: boolean = false;
  readonly follows: number | undefined = undefined;
  readonly ours: boolean = true;
  readonly free: boolean = true;
  readonly lines: Readonly<Record<string, string>> = {};
  readonly ended: Promise<DeliveryEnd>;
  #end: (end: DeliveryEnd) => void = () => {};

  constructor(parts: Partial<ScriptedDelivery>) {
    Object.assign(this, parts);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  header(name: string): string | undefined {
    return this.lines[name];
  }
  headers(): Readonly<Record<string, string>> {
    return this.lines;
  }
  succeed(): void {}
  async stands(): Promise<boolean> {
    return true;
  }
  async regained(): Promise<boolean> {
    return this.ours;
  }
  async ack(): Promise<void> {
    this.#end("acked");
  }
  retry(): void {
    this.#end("returned");
  }
  working(): void {}
  async terminate(): Promise<void> {
    this.#end("terminated");
  }
}

export interface ScriptedConsumerBus extends Bus {
  /** What was subscribed to, in order. */
  readonly consumed: readonly Pick<ConsumeOptions, "source" | "durable" | "filters">[];
  readonly letters: readonly DeadLetter[];
  readonly records: readonly LogRecord[];
}

/** @param deliveries what each stream hands out, at once, to whoever subscribes to it */
export function scriptedConsumerBus(
  deliveries: ReadonlyMap<SourceId, readonly Delivery[]>,
  state: StateStore,
): ScriptedConsumerBus {
  const consumed: Pick<ConsumeOptions, "source" | "durable" | "filters">[] = [];
  const letters: DeadLetter[] = [];
  const records: LogRecord[] = [];
  const none = (): never => {
    throw new Error("the scripted bus has no such thing");
  };
  return {
    consumed,
    letters,
    records,
    instance: "scripted",
    state,
    schemas: state,
    consume: async ({ source, durable, filters, signal }): Promise<Subscription> => {
      consumed.push({ source, durable, filters });
      return {
        madeAgain: undefined,
        whole: undefined,
        obstacle: () => undefined,
        missed: async () => undefined,
        settledThrough: () => 0,
        accept: none,
        depth: none,
        abandon: none,
        async *[Symbol.asyncIterator]() {
          yield deliveries.get(source) ?? [];
          if (!signal.aborted) await once(signal, "abort");
        },
      };
    },
    deadLetter: async (_subject, _head, data) => {
      letters.push(JSON.parse(Buffer.from(data).toString()) as DeadLetter);
    },
    record: async (told) => {
      records.push(...told);
      return 0;
    },
    logLosses: async () => 0,
    stream: none,
    forgetOlder: none,
    fetchBody: none,
    keepsForMs: async () => Number.POSITIVE_INFINITY,
    publish: none,
    receive: none,
    fire: none,
    newest: none,
    later: none,
    read: none,
    interruptions: () => 0,
    connected: () => true,
    trouble: () => undefined,
    [Symbol.asyncDispose]: async () => {},
  };
}
