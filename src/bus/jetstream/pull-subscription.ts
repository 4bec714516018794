// A running pull subscription. It asks the server for exactly as many messages as there is room for: the client's own
// consume() keeps messages in a queue where nobody keeps them alive, so that slow handlers would get them twice.

import type { ConsumerInfo } from "@nats-io/jetstream";
import {
  createInbox,
  type Msg,
  type NatsConnection,
  nanos,
  type Status,
  type Subscription as Sub,
} from "@nats-io/transport-node";
import { type MillraceError, TransientError } from "../../errors.ts";
import type { Delivery, StreamGap, Subscription } from "../bus.ts";
import { AnsweredPings } from "./answered-pings.ts";
import { busError } from "./bus-errors.ts";
import type { Confirmations } from "./confirmations.ts";
import { type DeliveryOwner, JetStreamDelivery } from "./delivery.ts";
import { PINGS_PER_ACK_WAIT, Possession } from "./possession.ts";
import { Prefetch } from "./prefetch.ts";
import type { RetentionWatch } from "./retention-watch.ts";

const expiresMs = 30_000;
const heartbeatMs = 5_000;
const againMs = 250;
/** So many may wait for the confirmation of their ack without holding up others: their handlers have ended. */
export const maxFinishing = 256;

export interface PullOptions {
  readonly stream: string;
  readonly durable: string;
  readonly confirmations: Confirmations;
  /** Deliveries that may be open at once, besides those that only wait for their confirmation; more when they go quickly. */
  readonly minPending: number;
  /** What the server waits for a sign of life before it hands a message out again. */
  readonly ackWaitMs: number;
  readonly signal: AbortSignal;
  /** Asks the server for the durable; rejects with what says that it is gone, resolves otherwise. */
  readonly verify: () => Promise<void>;
  readonly retention: RetentionWatch;
  /** What the server knows of the durable; all up to and including `settledThrough` is settled. */
  readonly depth: () => Promise<{
    readonly pending: number;
    readonly unacked: number;
    readonly settledThrough: number;
  }>;
}

export class PullSubscription implements Subscription, DeliveryOwner {
  readonly nc: NatsConnection;
  readonly confirmations: Confirmations;
  readonly #options: PullOptions;
  readonly #prefetch: Prefetch;
  readonly #pings: AnsweredPings;
  readonly #inbox: string = createInbox();
  #ready: JetStreamDelivery[] = [];
  readonly #open = new Map<number, JetStreamDelivery>();
  /** Sequences open or on their way back for a retry. */
  readonly #unsettled = new Set<number>();
  /** Handed out before this subscription began and perhaps not settled: from here on. */
  readonly #inherited: number;
  /** Open deliveries that wait for nothing but their confirmation. */
  #finishing = 0;
  #next: number;
  /** Messages that the server was asked for and has not sent yet. */
  #requested = 0;
  /** Number of the current requests; a status of older ones says nothing any more. */
  #epoch = 0;
  #heardAt: number = performance.now();
  #failure: MillraceError | undefined;
  #lost = false;
  /** Nothing more is handed out; what is open may still end. */
  #over = false;
  #wake: () => void = () => {};

  constructor(nc: NatsConnection, info: ConsumerInfo, options: PullOptions) {
    this.nc = nc;
    this.confirmations = options.confirmations;
    this.#prefetch = new Prefetch(options.minPending);
    this.#options = options;
    this.#pings = new AnsweredPings(nc, options.ackWaitMs / PINGS_PER_ACK_WAIT);
    this.#next = Math.max(info.delivered.stream_seq + 1, info.config.opt_start_seq ?? 1);
    this.#inherited = info.num_ack_pending > 0 ? info.ack_floor.stream_seq + 1 : Number.POSITIVE_INFINITY;
  }

  get lost(): boolean {
    return this.#lost;
  }

  resumeAt(): number {
    return Math.min(this.#inherited, this.#next, ...this.#unsettled);
  }

  settledThrough(): number {
    return this.#options.retention.settledThrough;
  }

  missed(): Promise<StreamGap | undefined> {
    return this.#options.retention.missed();
  }

  accept(gap: StreamGap): Promise<void> {
    return this.#options.retention.accept(gap);
  }

  async depth(): Promise<{ readonly pending: number; readonly unacked: number }> {
    const { pending, unacked, settledThrough } = await this.#options.depth();
    // What came back for a retry may have been settled by another worker, of which nobody tells us.
    for (const sequence of this.#unsettled)
      if (sequence <= settledThrough && !this.#open.has(sequence)) this.#unsettled.delete(sequence);
    return { pending, unacked };
  }

  finishing(): void {
    this.#finishing++;
    this.#prefetch.finished();
    this.#request();
  }

  closed(delivery: JetStreamDelivery, settled: boolean): void {
    this.#open.delete(delivery.sequence);
    if (delivery.finishing) this.#finishing--;
    else this.#prefetch.finished();
    if (settled) this.#unsettled.delete(delivery.sequence);
    if (this.#over && this.#open.size === 0) this.#pings.stop();
    this.#request();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<readonly Delivery[]> {
    const { signal } = this.#options;
    if (this.nc.isClosed()) throw closedError();
    const wake = (): void => this.#wake();
    signal.addEventListener("abort", wake);
    const sub = this.nc.subscribe(`${this.#inbox}.*`, { callback: (error, message) => this.#receive(error, message) });
    const watching = watchStatus(
      this.nc,
      () => this.#reset(),
      () => this.#fail(closedError()),
    );
    const heartbeat = setInterval(() => this.#beat(), heartbeatMs);
    try {
      this.#request();
      while (!signal.aborted && !this.#failure) {
        if (this.#ready.length > 0) yield this.#takeReady();
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
            if (signal.aborted) resolve();
          });
        }
      }
      quit(this.nc, sub);
      // What has arrived is handed out, so that its taker can give it back at once.
      if (this.#ready.length > 0) yield this.#takeReady();
      if (this.#failure && !signal.aborted) throw this.#failure;
    } finally {
      signal.removeEventListener("abort", wake);
      clearInterval(heartbeat);
      watching.stop();
      quit(this.nc, sub);
      this.#over = true;
      if (this.#open.size === 0) this.#pings.stop();
    }
  }

  #takeReady(): readonly Delivery[] {
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  #receive(error: Error | null, message: Msg): void {
    if (error) {
      this.#fail(busError(error, "subscribe"));
      return;
    }
    this.#heardAt = performance.now();
    if (message.subject.startsWith(this.#inbox)) {
      this.#status(message);
      return;
    }
    const { reply } = message;
    if (!reply?.startsWith("$JS.ACK.")) return;
    this.#requested = Math.max(0, this.#requested - 1);
    const possession = new Possession(this.#pings, this.#options.ackWaitMs);
    const delivery = new JetStreamDelivery(this, message, reply, possession);
    this.#next = Math.max(this.#next, delivery.sequence + 1);
    const open = this.#open.get(delivery.sequence);
    if (open) {
      open.renew(delivery);
      return;
    }
    this.#open.set(delivery.sequence, delivery);
    this.#unsettled.add(delivery.sequence);
    this.#ready.push(delivery);
    this.#wake();
    this.#request();
  }

  #status(message: Msg): void {
    const { code, description } = message.headers ?? { code: 0, description: "" };
    if (code === 100 || message.subject !== `${this.#inbox}.${this.#epoch}`) return;
    if (code === 409 && /consumer deleted|stream deleted/i.test(description)) {
      void this.#verify();
      return;
    }
    const left = Number(message.headers?.get("Nats-Pending-Messages") || this.#requested);
    this.#requested = Math.max(0, this.#requested - left);
    if (code === 408) this.#request();
    // No leader, no JetStream yet, or a request refused: a moment later it may be another answer.
    else setTimeout(() => this.#request(), againMs);
  }

  /** Asks for what there is room for; in halves, so that a request is not made for each message. */
  #request(): void {
    const { signal, stream, durable } = this.#options;
    const pending = this.#prefetch.size;
    const busy = this.#open.size - Math.min(this.#finishing, maxFinishing);
    const room = pending - busy - this.#requested;
    if (room <= 0 || (this.#requested > 0 && room < pending / 2)) return;
    if (signal.aborted || this.#failure || this.nc.isClosed() || this.nc.isDraining()) return;
    this.#requested += room;
    const request = { batch: room, expires: nanos(expiresMs), idle_heartbeat: nanos(heartbeatMs) };
    this.nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`, JSON.stringify(request), {
      reply: `${this.#inbox}.${this.#epoch}`,
    });
  }

  #beat(): void {
    if (this.#requested > 0 && performance.now() - this.#heardAt > 2 * heartbeatMs) this.#reset();
  }

  /** Requests may be lost: forget them and ask again, if the durable is still there. */
  #reset(): void {
    this.#epoch++;
    this.#requested = 0;
    this.#heardAt = performance.now();
    this.#request();
    void this.#verify();
  }

  async #verify(): Promise<void> {
    try {
      await this.#options.verify();
    } catch (error) {
      this.#lost = true;
      this.#fail(busError(error, "find the durable"));
    }
  }

  #fail(error: MillraceError): void {
    this.#failure ??= error;
    this.#wake();
  }
}

function watchStatus(nc: NatsConnection, reconnected: () => void, closed: () => void): { stop(): void } {
  // The client's type hides that its status iterator can be stopped; without that each subscription leaks one.
  const statuses = nc.status() as AsyncIterable<Status> & { stop(): void };
  let stopped = false;
  const watch = async (): Promise<void> => {
    for await (const status of statuses) if (status.type === "reconnect") reconnected();
    if (!stopped) closed();
  };
  watch().catch(closed);
  return {
    stop: () => {
      stopped = true;
      statuses.stop();
    },
  };
}

function quit(nc: NatsConnection, sub: Sub): void {
  if (!nc.isClosed() && !sub.isClosed()) sub.unsubscribe();
}

function closedError(): TransientError {
  return new TransientError("BUS_CLOSED", "the connection to the bus was closed", { hint: "it is connected again" });
}
