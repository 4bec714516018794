// What the bus holds, read by plain consumers as any subscriber in any language would: nothing of Millrace is in between.

import { DeliverPolicy, type JsMsg, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";

/** An event of the shop, by what its subject, headers and body say. */
export interface StoredChange {
  readonly transaction: string;
  readonly table: string;
  readonly op: string;
  readonly id: string;
}

export class StreamReader {
  #events: StoredChange[] = [];
  readonly #dead = new Set<string>();

  static async start(nc: NatsConnection): Promise<StreamReader> {
    const reader = new StreamReader();
    const js = jetstream(nc);
    const read = async (stream: string, subject: string, callback: (message: JsMsg) => void): Promise<void> => {
      const options = { deliver_policy: DeliverPolicy.All, filter_subjects: [subject] };
      await (await js.consumers.get(stream, options)).consume({ callback });
    };
    await read("CDC_SHOP", "cdc.>", (message) => reader.#events.push(storedChange(message)));
    await read("MILLRACE_DEAD", "dead.>", (message) => reader.#dead.add(message.headers?.get("ce-id") ?? ""));
    return reader;
  }

  /** The events stored since the last time, in the stream's order. */
  takeEvents(): StoredChange[] {
    const taken = this.#events;
    this.#events = [];
    return taken;
  }

  /** Dead letters so far. */
  get dead(): number {
    return this.#dead.size;
  }
}

function storedChange(message: JsMsg): StoredChange {
  const [, , , table = "", op = ""] = message.subject.split(".");
  const { key } = message.json<{ readonly key: { readonly id: string } }>();
  return { transaction: message.headers?.get("Cdc-Tx") ?? "", table, op, id: String(key.id) };
}
