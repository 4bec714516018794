// What the bus holds, read by plain consumers as any subscriber in any language would: nothing of Millrace is in between.

import { DeliverPolicy, type JsMsg, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { ShopChange, ShopDatabase } from "./shop-database.ts";

export class StreamReader {
  #events: ShopChange[] = [];
  readonly #dead = new Set<string>();

  static async start(nc: NatsConnection, { momentOf }: Pick<ShopDatabase, "momentOf">): Promise<StreamReader> {
    const reader = new StreamReader();
    const js = jetstream(nc);
    const read = async (
      stream: string,
      subjects: readonly string[],
      callback: (message: JsMsg) => void,
    ): Promise<void> => {
      const options = { deliver_policy: DeliverPolicy.All, filter_subjects: [...subjects] };
      await (await js.consumers.get(stream, options)).consume({ callback });
    };
    await read("CDC_SHOP", ["cdc.>", "events.>"], (message) => reader.#events.push(storedChange(message, momentOf)));
    await read("MILLRACE_DEAD", ["dead.>"], (message) => reader.#dead.add(message.headers?.get("ce-id") ?? ""));
    return reader;
  }

  /** The events stored since the last time, in the stream's order. */
  takeEvents(): ShopChange[] {
    const taken = this.#events;
    this.#events = [];
    return taken;
  }

  /** Dead letters so far. */
  get dead(): number {
    return this.#dead.size;
  }
}

/** By what its subject, headers and body say. */
function storedChange(message: JsMsg, momentOf: ShopDatabase["momentOf"]): ShopChange {
  const transaction = momentOf((name) => message.headers?.get(name) ?? "");
  const [kind, , ...tokens] = message.subject.split(".");
  if (kind === "events") {
    const [table = "", op = ""] = tokens;
    return { transaction, table, op, id: message.headers?.get("ce-id") ?? "" };
  }
  const [, table = "", op = ""] = tokens;
  const { key } = message.json<{ readonly key: { readonly id?: string; readonly _id?: number } }>();
  return { transaction, table, op, id: String(key.id ?? key._id) };
}
