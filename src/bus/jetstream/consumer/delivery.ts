// One message that the server handed out, until it is settled.

import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { realClock } from "../../../clock.ts";
import type { Delivery } from "../../subscription.ts";
import type { Confirmable, Confirmations } from "./confirmations.ts";
import { type Handout, sequenceBefore } from "./handout.ts";
import type { Possession } from "./possession.ts";
import { Received } from "./received.ts";

/** What a delivery needs of its subscription. */
export interface DeliveryOwner {
  readonly nc: NatsConnection;
  readonly confirmations: Confirmations;
  /** The stream's name. */
  readonly stream: string;
  /** Set when the durable is gone: then nobody confirms any more. */
  readonly lost: boolean;
  /** Set when it hands out nothing any more, and what it had handed out comes again. */
  readonly over: boolean;
  /** What comes up to this sequence may have been handed out before, whatever the server's count says. */
  readonly repeatsThrough: number;
  readonly run: string | undefined;
  /** What stands at a sequence of the stream, as `identityOf` names it; undefined where nothing does. @throws TransientError */
  identityAt(sequence: number): Promise<string | undefined>;
  /** All that is left of it is the server's word: another one may take its place. */
  awaitingAckReply(): void;
  /** A delivery is let go unsettled: somebody is to have it once more. */
  dropped(): void;
  /** The delivery is out of the way: confirmed, or on its way back for a retry. */
  closed(delivery: JetStreamDelivery): void;
}

export class JetStreamDelivery implements Delivery, Confirmable {
  readonly sequence: number;
  readonly follows: number | undefined;
  /** What the server counted of it when it was taken in hand, which is what is counted as free again behind it. */
  readonly bytes: number;
  /** Whether only its confirmation is waited for. */
  finishing = false;
  #owner: DeliveryOwner;
  #message: Received;
  #serverCount: number;
  #possession: Possession;
  /** Called when the server has handed it out to us once more. */
  #renewed: Set<() => void> | undefined;
  /** Another event has its number by now. */
  #void = false;

  /**
   * @param place what the message's reply says, which is where its ack goes
   * @param possession of what has just arrived
   * @param last what had arrived before it
   */
  constructor(owner: DeliveryOwner, message: Msg, place: Handout, possession: Possession, last: Handout | undefined) {
    const { sequence, serverCount } = place;
    this.follows = sequenceBefore(last, place);
    this.#owner = owner;
    this.#message = new Received(message);
    this.bytes = this.#message.bytes;
    this.#possession = possession;
    this.sequence = sequence;
    this.#serverCount = serverCount;
  }

  get run(): string | undefined {
    return this.#owner.run;
  }

  get subject(): string {
    return this.#message.subject;
  }

  get stream(): string {
    return this.#owner.stream;
  }

  get data(): Uint8Array {
    return this.#message.data;
  }

  get again(): boolean {
    return this.#serverCount > 1 || this.remade;
  }

  get remade(): boolean {
    return this.sequence <= this.#owner.repeatsThrough;
  }

  get reply(): string {
    return this.#message.reply;
  }

  get consumer(): object {
    return this.#owner;
  }

  get lost(): boolean {
    return this.#void || this.#owner.lost;
  }

  header(name: string): string | undefined {
    return this.#message.header(name);
  }

  headers(): Readonly<Record<string, string>> {
    return this.#message.headers();
  }

  /** Whether another delivery is of the same event, and not of one that has its number since the server was set back. */
  isOf(other: JetStreamDelivery): boolean {
    return identityOf(this) === identityOf(other);
  }

  /** Its event is no more, and another one has its number: whatever is told of it must not reach that one. */
  voided(): void {
    this.#void = true;
    this.#owner.closed(this);
    for (const renewed of this.#renewed ?? []) renewed();
  }

  /** The server handed the same message out again while this delivery was open: from now on that one counts. */
  renew(newer: JetStreamDelivery): void {
    this.#message = newer.#message;
    this.#serverCount = newer.#serverCount;
    this.#possession = newer.#possession;
    if (this.#owner !== newer.#owner) {
      this.#owner = newer.#owner;
      if (this.finishing) this.#owner.awaitingAckReply();
    }
    for (const renewed of this.#renewed ?? []) renewed();
  }

  succeed(older: Delivery): void {
    if (older instanceof JetStreamDelivery) older.renew(this);
  }

  async stands(): Promise<boolean> {
    return !this.#void && (await this.#owner.identityAt(this.sequence)) === identityOf(this);
  }

  get ours(): boolean {
    return !this.#void && !this.#owner.over && this.#possession.ours;
  }

  get free(): boolean {
    return this.ours;
  }

  async regained(withinMs: number): Promise<boolean> {
    if (this.ours) return true;
    if (this.#void) return false;
    this.#release(); // or there may be no room for it to come again
    const over = new AbortController();
    // What had come while we stood still may be another's again by now: then the next one counts.
    const look = (): void => {
      if (this.ours || this.#void) over.abort();
    };
    this.#renewed ??= new Set();
    this.#renewed.add(look);
    await realClock.sleep(withinMs, over.signal);
    this.#renewed.delete(look);
    return this.ours;
  }

  ack(): Promise<void> {
    return this.#finish("+ACK");
  }

  terminate(reason: string): Promise<void> {
    return this.#finish(`+TERM ${reason}`);
  }

  retry(delayMs: number): void {
    this.#owner.dropped();
    // Lost, it only means that the server waits for ack_wait instead; so does what may be another's by now.
    if (this.ours) this.#tell(delayMs > 0 ? `-NAK {"delay": ${Math.round(delayMs * 1_000_000)}}` : "-NAK");
    this.settled();
  }

  settled(): void {
    if (!this.#void) this.#owner.closed(this);
  }

  working(): void {
    if (!this.ours) return;
    this.#tell("+WPI");
    this.#possession.extend();
  }

  #finish(what: string): Promise<void> {
    this.#release();
    return this.#owner.confirmations.confirm(this, what);
  }

  #release(): void {
    if (this.finishing) return;
    this.finishing = true;
    this.#owner.awaitingAckReply();
  }

  #tell(what: string): void {
    const { nc } = this.#owner;
    if (!nc.isClosed() && !nc.isDraining() && this.reply) nc.publish(this.reply, what);
  }
}

/** Tells a message from another one that has its number since the server was set back. */
export function identityOf(message: Pick<Delivery, "header">): string {
  return `${message.header("ce-id") ?? ""} ${message.header("Nats-Msg-Id") ?? ""}`;
}
