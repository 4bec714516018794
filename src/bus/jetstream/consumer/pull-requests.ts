// The pull requests of a subscription: when it asks the server, where the answers come, and how each request ends.

import { createInbox, type Msg, type NatsConnection, nanos, type Subscription as Sub } from "@nats-io/transport-node";
import { sizeOf } from "./header-lines.ts";
import { ORDERED_EXPIRES_MS, type PinnedPuller } from "./pinned-puller.ts";
import { type Request, Room, type Wanted } from "./room.ts";

const expiresMs = 30_000;
const heartbeatMs = 5_000;
/** So many beats without a word, and what was asked for may be lost. */
const maxSilentBeats = 2;
const againMs = 250;
/** What a request says where nothing is pinned. */
const UNPINNED = { expires: nanos(expiresMs), idle_heartbeat: nanos(heartbeatMs) };

export interface PullRequestsOptions {
  /** The subject that requests go to. */
  readonly subject: string;
  /** Of an ordered subscription: a request says that its puller lives. */
  readonly puller: Pick<PinnedPuller, "request" | "unpinned"> | undefined;
  /** How many messages may be in hand; undefined when nothing is asked for any more. */
  readonly wanted: () => Pick<Wanted, "messages" | "uncounted"> | undefined;
  /** The server lives, and answers. */
  readonly heard: () => void;
  readonly received: (message: Msg) => void;
  readonly failed: (error: Error) => void;
  /** As the server says, the durable or its stream is deleted. */
  readonly deleted: () => void;
  /** Nothing was heard for so long that what was asked for may be lost. */
  readonly silent: () => void;
}

export class PullRequests {
  readonly room: Room = new Room();
  readonly #nc: NatsConnection;
  readonly #options: PullRequestsOptions;
  readonly #inbox: string = createInbox();
  #subs: readonly Sub[] = [];
  #beating: NodeJS.Timeout | undefined;
  /** Number of the current requests; a status of older ones says nothing any more. */
  #epoch = 0;
  /** Beats since something was heard, while something was asked for: to look at the clock at each message costs more than to count. */
  #silentBeats = 0;
  #asking = false;

  constructor(nc: NatsConnection, options: PullRequestsOptions) {
    this.#nc = nc;
    this.#options = options;
  }

  start(): void {
    this.#subs = this.room.requests.map((request) =>
      this.#nc.subscribe(`${this.#inbox}.${request.slot}.*`, {
        callback: (error, message) => this.#receive(request, error, message),
      }),
    );
    this.#beating = setInterval(() => {
      this.#silentBeats = this.room.asked ? this.#silentBeats + 1 : 0;
      if (this.#silentBeats > maxSilentBeats) this.#options.silent();
    }, heartbeatMs);
    this.ask();
  }

  /** Resolves when all has come that is under way. */
  async drained(): Promise<void> {
    await Promise.allSettled(this.#subs.map((sub) => sub.drain()));
  }

  stop(): void {
    clearInterval(this.#beating);
    for (const sub of this.#subs) if (!this.#nc.isClosed() && !sub.isClosed()) sub.unsubscribe();
  }

  /** Asks for what there is room for, once what comes and goes in the same turn is counted: to reckon it for each message costs more than to take it. */
  ask(): void {
    if (this.#asking) return;
    this.#asking = true;
    queueMicrotask(() => {
      this.#asking = false;
      this.#ask();
    });
  }

  #ask(): void {
    if (this.#nc.isClosed() || this.#nc.isDraining()) return;
    const wanted = this.#options.wanted();
    if (wanted === undefined) return;
    const { messages, uncounted } = wanted;
    const { subject, puller } = this.#options;
    const largest = this.#nc.info?.max_payload ?? 0;
    // Who does not pull loses the pin. More than may be out the server does not hand out.
    const next = this.room.ask({ messages, uncounted, largest, always: puller !== undefined });
    if (next === undefined) return;
    const { batch, max_bytes } = next.asked;
    const text =
      puller === undefined
        ? JSON.stringify({ batch, max_bytes, ...UNPINNED })
        : JSON.stringify({ batch, max_bytes, expires: nanos(ORDERED_EXPIRES_MS), ...puller.request });
    this.#nc.publish(subject, text, { reply: this.#answers(next.request) });
  }

  /** Requests may be lost: forgets them, and asks again. */
  reset(): void {
    this.#epoch++;
    this.room.lost();
    this.#silentBeats = 0;
    this.ask();
  }

  #receive(request: Request, error: Error | null, message: Msg): void {
    if (error) {
      this.#options.failed(error);
      return;
    }
    this.#silentBeats = 0;
    this.#options.heard();
    if (message.subject.startsWith(this.#inbox)) {
      this.#ended(request, message);
    } else if (message.reply?.startsWith("$JS.ACK.")) {
      this.room.sent(request, sizeOf(message));
      this.#options.received(message);
    }
  }

  #ended(request: Request, message: Msg): void {
    const { code, description } = message.headers ?? { code: 0, description: "" };
    if (code === 423) this.#options.puller?.unpinned();
    if (code === 100 || message.subject !== this.#answers(request)) return;
    if (code === 409 && /consumer deleted|stream deleted/i.test(description)) {
      this.#options.deleted();
      return;
    }
    const tooLarge = code === 409 && /exceeds maxbytes/i.test(description);
    const atOnce = tooLarge ? this.room.overByBytes(request) : this.room.over(request, code === 408 || code === 423);
    if (atOnce) this.ask();
    // No leader, no JetStream yet, or a request refused: a moment later it may be another answer.
    else setTimeout(() => this.ask(), againMs);
  }

  #answers({ slot }: Request): string {
    return `${this.#inbox}.${slot}.${this.#epoch}`;
  }
}
