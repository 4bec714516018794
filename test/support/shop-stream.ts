// The stream of a source "shop" as the publisher writes it, without a database: for tests of what subscribes to it.

import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { createStream } from "../../src/bus/jetstream/client/streams.ts";
import type { Position } from "../../src/event/position.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import type { Op } from "../../src/event/subject.ts";
import { messageMaker, ordersCreated } from "./bus/encoded.ts";
import { waitFor } from "./wait-for.ts";

const shop = "shop" as SourceId;

export interface Order {
  readonly id: number;
  readonly status: string;
}

export class ShopStream implements AsyncDisposable {
  readonly nc: NatsConnection;
  readonly #make = messageMaker(shop);
  #published = 0;

  private constructor(nc: NatsConnection) {
    this.nc = nc;
  }

  static async connect(url: string): Promise<ShopStream> {
    return new ShopStream(await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 50 }));
  }

  /** Connects and makes `CDC_SHOP`. */
  static async create(url: string): Promise<ShopStream> {
    const stream = await ShopStream.connect(url);
    await stream.make();
    return stream;
  }

  async make(): Promise<void> {
    // A request that is sent in the moment that the server goes is answered by nobody: asked of the next one, again.
    const made = async (): Promise<true> => {
      await createStream(await jetstreamManager(this.nc), shop, { replicas: 1, firstSeq: 1 });
      return true;
    };
    await waitFor(made, { what: "the stream CDC_SHOP to be made" });
  }

  /** One change of `public.orders`, a transaction of its own. Resolves to its sequence. */
  async order(op: Op, order: Order): Promise<number> {
    const position = `0001.${(++this.#published).toString(16).padStart(16, "0")}+` as Position;
    const after = op === "deleted" ? null : order;
    const body = JSON.stringify({ op, key: { id: order.id }, before: null, after });
    const { subject, head } = this.#make({
      kind: { ...ordersCreated, op },
      lane: "p03",
      key: String(order.id),
      transaction: String(this.#published),
      time: new Date().toISOString(),
      position,
    });
    return this.raw(subject, `${head}Cdc-Pos: ${position}\r\n`, body);
  }

  /** Many created ones, in their order, a hundred under way at a time. */
  async orders(orders: readonly Order[]): Promise<void> {
    for (let from = 0; from < orders.length; from += 100)
      await Promise.all(orders.slice(from, from + 100).map((order) => this.order("created", order)));
  }

  /** Anything at all. Resolves to its sequence. */
  async raw(subject: string, head: string, body: string | Uint8Array): Promise<number> {
    const lines = headers();
    for (const line of head.split("\r\n").filter(Boolean)) {
      const colon = line.indexOf(":");
      lines.append(line.slice(0, colon), line.slice(colon + 1).trim());
    }
    return (await jetstream(this.nc).publish(subject, body, { headers: lines })).seq;
  }

  /** Retention takes all but the newest messages. */
  async keepOnly(messages: number): Promise<void> {
    const jsm = await jetstreamManager(this.nc);
    await jsm.streams.update("CDC_SHOP", { max_msgs: messages });
    await jsm.streams.update("CDC_SHOP", { max_msgs: -1 });
  }

  /** Bodies of the dead letters of an automation, oldest first. */
  async deadLetters(automation: string): Promise<readonly Record<string, unknown>[]> {
    const jsm = await jetstreamManager(this.nc);
    const { state } = await jsm.streams.info("MILLRACE_DEAD");
    const letters: Record<string, unknown>[] = [];
    for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
      const message = await jsm.streams.getMessage("MILLRACE_DEAD", { seq });
      if (message?.subject === `dead.${automation}`) letters.push(message.json());
    }
    return letters;
  }

  /** Messages that the automation has not settled, handed out or not. */
  async open(automation: string): Promise<number> {
    const jsm = await jetstreamManager(this.nc);
    const info = await jsm.consumers.info("CDC_SHOP", automation);
    return info.num_pending + info.num_ack_pending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nc.close();
  }
}
