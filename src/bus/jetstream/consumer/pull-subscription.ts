// A running pull subscription. It asks the server for exactly as many messages as there is room for: the client's own
// consume() keeps messages in a queue where nobody keeps them alive, so that slow handlers would get them twice.

import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { realClock, WakeUp, within } from "../../../clock.ts";
import { type MillraceError, TransientError } from "../../../errors.ts";
import { ByNumber } from "../../../event/by-number.ts";
import { busClosed } from "../../shared-errors.ts";
import type { Delivery, Obstacle, OrderedConsuming, StreamGap, Subscription } from "../../subscription.ts";
import { asked, busError } from "../client/bus-errors.ts";
import { watchReconnects } from "../client/watch-reconnects.ts";
import type { Confirmations } from "./confirmations.ts";
import { listenToAdvisories } from "./consumer-advisories.ts";
import { type DeliveryOwner, JetStreamDelivery } from "./delivery.ts";
import { changed, type Durable } from "./durable.ts";
import { maxFinishing } from "./durable-settings.ts";
import { type Handout, parseReply } from "./handout.ts";
import { PinnedPuller } from "./pinned-puller.ts";
import { AnsweredPings, PINGS_PER_ACK_WAIT, Possession } from "./possession.ts";
import { Prefetch } from "./prefetch.ts";
import { PullRequests } from "./pull-requests.ts";

const againMs = 250;
/** For so long the end of a subscription waits for what the server has sent before it heard of it. */
const underWayMs = 1000;
/** For so long what has ended waits for another durable that hands it out once more, and takes its ack. */
const lostMs = 5_000;

/** Codes of what can only be mended by opening the durable anew. */
const needsAnother: readonly string[] = ["BUS_DURABLE_LOST", "BUS_DURABLE_CHANGED"];

/** Of what ends an ordered subscription, whose durable is as it was: what has begun may still end. */
const takenAnew: readonly string[] = ["BUS_ORDER_ELSEWHERE", "BUS_ORDER_UNSURE"];

export interface PullOptions {
  readonly stream: string;
  readonly name: string;
  readonly durable: Durable;
  readonly run?: string | undefined;
  readonly confirmations: Confirmations;
  /** Deliveries that may be open at once, besides those that only wait for their confirmation; more when they go quickly. */
  readonly minPending: number;
  /** What the server waits for a sign of life before it hands a message out again. */
  readonly ackWaitMs: number;
  readonly signal: AbortSignal;
  readonly retention: Pick<Subscription, "missed" | "accept" | "settledThrough">;
  readonly identityAt: DeliveryOwner["identityAt"];
  readonly ordered?: OrderedConsuming | undefined;
}

export class PullSubscription implements Subscription, DeliveryOwner {
  readonly nc: NatsConnection;
  readonly confirmations: Confirmations;
  readonly #options: PullOptions;
  readonly #prefetch: Prefetch;
  readonly #pings: AnsweredPings;
  /** Of an ordered one: who pulls, and whether all is in hand. */
  readonly #puller: PinnedPuller | undefined;
  readonly #requests: PullRequests;
  #ready: JetStreamDelivery[] = [];
  readonly #open = new ByNumber<JetStreamDelivery>();
  /** Open deliveries that wait for nothing but their confirmation. */
  #awaitingAckReply = 0;
  /** What came last over this connection: a server that was set back counts anew. */
  #last: Handout | undefined;
  /** The server does not let this user ask for messages; it is asked again at each beat. */
  #denied: Obstacle | undefined;
  #failure: MillraceError | undefined;
  /** When the durable was found to be gone or another one. */
  #lostMs: number | undefined;
  /** Nothing more is handed out; what is open may still end. */
  #ended = false;
  #gathered = false;
  readonly #news = new WakeUp();

  constructor(nc: NatsConnection, options: PullOptions) {
    this.nc = nc;
    this.confirmations = options.confirmations;
    this.#prefetch = new Prefetch(options.minPending);
    this.#options = options;
    const { ordered, durable, name, ackWaitMs } = options;
    this.#puller =
      ordered &&
      new PinnedPuller({
        ordered,
        durable,
        name,
        ackWaitMs,
        untaken: () => this.#ready.length,
        gathered: () => this.#gather(),
        failed: (error) => this.#judge(error),
      });
    this.#requests = new PullRequests(nc, {
      subject: this.#asking,
      puller: this.#puller,
      wanted: () => this.#wanted(),
      heard: () => {
        this.#denied = undefined;
      },
      received: (message) => this.#receive(message),
      failed: (error) => this.#fail(busError(error, "subscribe")),
      deleted: () => void this.#verify(),
      silent: () => this.#reset(),
    });
    this.#pings = new AnsweredPings(nc, options.ackWaitMs / PINGS_PER_ACK_WAIT);
  }

  get lost(): boolean {
    return this.#lostMs !== undefined && realClock.now() > this.#lostMs + lostMs;
  }

  get over(): boolean {
    return this.#lostMs !== undefined;
  }

  get whole(): number | undefined {
    return this.#failure === undefined ? this.#puller?.whole : undefined;
  }

  get stream(): string {
    return this.#options.stream;
  }

  get repeatsThrough(): number {
    return this.#options.durable.repeatsThrough;
  }

  get run(): string | undefined {
    return this.#options.run;
  }

  get madeAgain(): string | undefined {
    return this.#options.durable.madeAgain;
  }

  obstacle(): Obstacle | undefined {
    return this.#denied ?? this.#options.durable.obstacle;
  }

  settledThrough(): number {
    return this.#options.retention.settledThrough();
  }

  async missed(): Promise<StreamGap | undefined> {
    try {
      return await this.#options.retention.missed();
    } catch (error) {
      this.#judge(error);
      throw error;
    }
  }

  accept(gap: StreamGap): Promise<void> {
    return this.#options.retention.accept(gap);
  }

  depth(): Promise<{ readonly pending: number; readonly unacked: number }> {
    return asked(`ask for the depth of ${this.#options.name}`, () => this.#options.durable.depth());
  }

  abandon(): void {
    this.#lostMs ??= realClock.now();
  }

  identityAt(sequence: number): Promise<string | undefined> {
    return this.#options.identityAt(sequence);
  }

  awaitingAckReply(): void {
    this.#awaitingAckReply++;
    this.#prefetch.finished();
    this.#requests.ask();
  }

  dropped(): void {
    this.#puller?.lost();
  }

  closed(delivery: JetStreamDelivery): void {
    this.#forget(delivery.sequence);
    if (delivery.finishing) this.#awaitingAckReply--;
    else this.#prefetch.finished();
    if (this.#ended && this.#open.size === 0) this.#pings.stop();
    this.#requests.ask();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<readonly Delivery[]> {
    const { signal } = this.#options;
    if (this.nc.isClosed()) throw busClosed();
    const wake = (): void => this.#news.set();
    signal.addEventListener("abort", wake);
    const watching = watchReconnects(
      this.nc,
      () => this.#reset(),
      () => this.#fail(busClosed()),
      (subject) => this.#deny(subject),
    );
    const advisories = listenToAdvisories(this.nc, this.#options.stream, this.#options.name, {
      deleted: () => void this.#verify(),
      gaveUp: (sequence, why) => void this.#gaveUp(sequence, why),
    });
    try {
      this.#requests.start();
      this.#puller?.start();
      while (!signal.aborted && !this.#failure) {
        if (this.#ready.length > 0 || this.#gathered) yield this.#takeReady();
        else await this.#news.wait();
      }
      // What is under way is waited for and handed out, so that its taker can give it back at once.
      if (!this.nc.isClosed()) await within(realClock, underWayMs, this.#requests.drained());
      if (this.#ready.length > 0) yield this.#takeReady();
      if (this.#failure && !signal.aborted) throw this.#failure;
    } finally {
      signal.removeEventListener("abort", wake);
      watching.stop();
      this.#puller?.stop();
      this.#requests.stop();
      this.#ended = true;
      advisories.stop();
      if (this.#open.size === 0) this.#pings.stop();
    }
  }

  #takeReady(): readonly Delivery[] {
    const ready = this.#ready;
    this.#ready = [];
    this.#gathered = false;
    return ready;
  }

  #receive(message: Msg): void {
    const possession = new Possession(this.#pings, this.#options.ackWaitMs);
    const place = parseReply(message.reply ?? "");
    const delivery = new JetStreamDelivery(this, message, place, possession, this.#last);
    this.#last = place;
    this.#puller?.received(place.nth, message.headers?.get("Nats-Pin-Id"));
    const open = this.#open.get(delivery.sequence);
    if (open?.isOf(delivery)) {
      open.renew(delivery);
      return;
    }
    open?.voided();
    this.#open.set(delivery.sequence, delivery);
    this.#requests.room.took(delivery.bytes);
    this.#ready.push(delivery);
    this.#news.set();
    this.#requests.ask();
  }

  #forget(sequence: number): void {
    const open = this.#open.get(sequence);
    if (open === undefined) return;
    this.#open.delete(sequence);
    this.#requests.room.released(open.bytes);
  }

  /** Undefined when it ends. */
  #wanted(): { readonly messages: number; readonly uncounted: number } | undefined {
    if (this.#options.signal.aborted || this.#failure) return undefined;
    const messages = this.#puller?.most ?? this.#prefetch.size;
    return { messages, uncounted: Math.min(this.#awaitingAckReply, maxFinishing) };
  }

  /** What was asked for may be lost, or come from another server: it is asked for again, if the durable is still there. */
  #reset(): void {
    this.#puller?.lost();
    this.#last = undefined;
    this.#requests.reset();
    void this.#verify();
  }

  get #asking(): string {
    const { stream, name } = this.#options;
    return `$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`;
  }

  #deny(subject: string): void {
    if (subject !== this.#asking) return;
    this.#denied = { code: "BUS_PERMISSION", message: `NATS does not let this user publish to ${subject}` };
  }

  /** Looks whether the durable is still what it was. */
  async #verify(): Promise<void> {
    await this.#options.durable.look().catch((error: unknown) => this.#judge(error));
  }

  /** What was handed out since the last look may be passed over too: all of it comes again. */
  async #gaveUp(sequence: number, why: string): Promise<void> {
    const { durable, stream, name, signal } = this.#options;
    while (!signal.aborted && !this.nc.isClosed()) {
      try {
        await durable.distrust(sequence);
        break;
      } catch {
        await realClock.sleep(againMs, signal);
      }
    }
    this.#judge(changed(`the durable ${name} of ${stream} gave up message ${sequence}, ${why}`));
  }

  /** Whatever else went wrong while it was asked for says nothing of the durable. */
  #judge(error: unknown): void {
    if (!(error instanceof TransientError)) return;
    if (needsAnother.includes(error.code)) this.#lostMs ??= realClock.now();
    else if (!takenAnew.includes(error.code)) return;
    this.#fail(error);
  }

  #gather(): void {
    this.#gathered = true;
    this.#news.set();
  }

  #fail(error: MillraceError): void {
    this.#failure ??= error;
    this.#news.set();
  }
}
