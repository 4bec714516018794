// One message that the server handed out, until it is settled.

import { setTimeout as sleep } from "node:timers/promises";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { TransientError } from "../../errors.ts";
import type { Delivery } from "../bus.ts";

const confirmMs = 5000;
const retryMs = 250;

/** What a delivery needs of its subscription. */
export interface DeliveryOwner {
  readonly nc: NatsConnection;
  /** Set when the durable is gone: then nobody confirms any more. */
  readonly lost: boolean;
  /** The delivery is out of the way: confirmed, or on its way back for a retry. */
  closed(delivery: JetStreamDelivery, settled: boolean): void;
}

export class JetStreamDelivery implements Delivery {
  readonly sequence: number;
  readonly #owner: DeliveryOwner;
  #message: Msg;
  #serverCount: number;

  constructor(owner: DeliveryOwner, message: Msg) {
    const { sequence, serverCount } = parseReply(message.reply ?? "");
    this.#owner = owner;
    this.#message = message;
    this.sequence = sequence;
    this.#serverCount = serverCount;
  }

  get subject(): string {
    return this.#message.subject;
  }

  get data(): Uint8Array {
    return this.#message.data;
  }

  get serverCount(): number {
    return this.#serverCount;
  }

  header(name: string): string | undefined {
    return this.#message.headers?.has(name) ? this.#message.headers.get(name) : undefined;
  }

  headers(): Readonly<Record<string, string>> {
    const all = this.#message.headers;
    return Object.fromEntries((all?.keys() ?? []).map((name) => [name, all?.values(name).join(", ") ?? ""]));
  }

  /** The server handed the same message out again while this delivery was open: from now on that one counts. */
  renew(newer: JetStreamDelivery): void {
    this.#message = newer.#message;
    this.#serverCount = newer.#serverCount;
  }

  async ack(): Promise<void> {
    await this.#confirm("+ACK");
  }

  async terminate(reason: string): Promise<void> {
    await this.#confirm(`+TERM ${reason}`);
  }

  retry(delayMs: number): void {
    // Lost, it only means that the server waits for ack_wait instead.
    this.#tell(delayMs > 0 ? `-NAK {"delay": ${Math.round(delayMs * 1_000_000)}}` : "-NAK");
    this.#owner.closed(this, false);
  }

  working(): void {
    this.#tell("+WPI");
  }

  #tell(what: string): void {
    const { nc } = this.#owner;
    if (!nc.isClosed() && !nc.isDraining() && this.#message.reply) nc.publish(this.#message.reply, what);
  }

  async #confirm(what: string): Promise<void> {
    const { nc } = this.#owner;
    for (;;) {
      try {
        await nc.request(this.#message.reply ?? "", what, { timeout: confirmMs });
        break;
      } catch (error) {
        if (this.#owner.lost || nc.isClosed() || nc.isDraining()) {
          throw new TransientError("BUS_ACK_UNCONFIRMED", "the bus did not confirm that an event is done", {
            cause: error,
            hint: "nothing to do: the event is handed out again",
          });
        }
        await sleep(retryMs);
      }
    }
    this.#owner.closed(this, true);
  }
}

/** `$JS.ACK.[<domain>.<account>.]<stream>.<durable>.<count>.<stream sequence>.<delivery sequence>.<time>.<pending>[.<token>]` */
function parseReply(reply: string): { readonly sequence: number; readonly serverCount: number } {
  const tokens = reply.split(".");
  const at = tokens.length > 9 ? 6 : 4;
  return { serverCount: Number(tokens[at]), sequence: Number(tokens[at + 1]) };
}
