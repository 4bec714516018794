// Acks that the server confirms, for little: what comes up within two milliseconds goes to its consumer together, in one write to
// the socket, and only the last of it asks for an answer. A consumer takes what one connection sends it in the order in which it was
// sent, so its answer to the last is one to all. One inbox, counted tokens, and one look at what is late instead of a timer each.
//
// Where a cluster's consumer gets another leader between two acks of one write, the first of them may be lost and the last one answered:
// then those events come again after `ack_wait`, and whoever has told their outcomes acks them once more.

import { createInbox, type Msg } from "@nats-io/transport-node";
import { realClock } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import { ByNumber } from "../../../event/by-number.ts";
import type { Connection } from "../client/connection.ts";
import { publishShort, type ShortMessage } from "../stream/raw-publish.ts";

/** After so long a server that was set back may never have handed it out: then it does so once more. */
const giveUpMs = 30_000;
/** Without an answer for this long it is asked again. */
const confirmMs = 5000;
const lookMs = 250;
/** At a thousand events a second a write for each of them costs the server a seventh of its time, and us a tenth. */
const holdMs = 2;
/** So many are worth a write of their own. */
const maxHeld = 64;
/** Handlers that never let the event loop turn must not hold back the acks of those before them for longer. */
const maxHoldMs = 50;
/** It is looked for that with each of so many. */
const lookAfter = 8;

/** What is to be settled. */
export interface Confirmable {
  /** Where the server takes the ack; another one once it has handed the message out again. */
  readonly reply: string;
  /** Who takes it: what goes to one is taken in the order in which it was sent. */
  readonly consumer: object;
  /** Nobody is there any more to confirm it. */
  readonly lost: boolean;
  /** Called once it is confirmed, or nobody waits for that any more. */
  settled(): void;
}

/** What is confirmed at once. */
class Group {
  readonly confirmed: Promise<void>;
  readonly deliveries: Confirmable[] = [];
  /** What is said of each of them. */
  readonly whats: string[] = [];
  readonly sinceMs: number = realClock.now();
  sentMs: number = this.sinceMs;
  /** Names the answers to what was sent last; 0 before that. */
  token = 0;
  /** So many of them have not come yet: one, but where a delivery has gone over to another consumer. */
  unanswered = 0;
  resolve: () => void = () => {};
  reject: (error: Error) => void = () => {};

  constructor() {
    this.confirmed = new Promise((resolve, reject) => {
      [this.resolve, this.reject] = [resolve, reject];
    });
  }
}

export class Confirmations {
  readonly #connection: Connection;
  readonly #inbox: string = `${createInbox()}.`;
  /** Sent and not confirmed, by token. */
  readonly #sent = new ByNumber<Group>();
  /** Those that still take more; another map each time, for one that is cleared keeps hold of what was in it (see ByNumber). */
  #unsent = new Map<object, Group>();
  /** Deliveries in these. */
  #held = 0;
  #tokens = 0;
  #looking: NodeJS.Timeout | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
    const { nc } = connection;
    nc.subscribe(`${this.#inbox}*`, { callback: (error, message) => this.#answered(error, message) });
    // What was under way may be lost, and so may what was told before it: whoever waits sees to both.
    connection.onDisruption(() => {
      const groups = [...this.#sent.values(), ...this.#unsent.values()];
      this.#unsent = new Map();
      this.#held = 0;
      for (const group of groups) this.#interrupt(group);
    });
    void nc.closed().then(() => this.#look());
  }

  /**
   * Sends what settles a delivery, again and again until the server has confirmed it. Those of one consumer that come up together
   * are confirmed together: they have one promise.
   * @throws TransientError when the connection broke meanwhile, and when nobody can confirm it any more
   */
  confirm(delivery: Confirmable, what: string): Promise<void> {
    const { consumer } = delivery;
    let group = this.#unsent.get(consumer);
    if (group === undefined) {
      group = new Group();
      this.#unsent.set(consumer, group);
      if (this.#held === 0) setTimeout(() => this.#sendAll(), holdMs);
      this.#looking ??= setInterval(() => this.#look(), lookMs);
    }
    group.deliveries.push(delivery);
    group.whats.push(what);
    const held = ++this.#held;
    if (held >= maxHeld || (held % lookAfter === 0 && realClock.now() - group.sinceMs > maxHoldMs)) this.#sendAll();
    return group.confirmed;
  }

  #sendAll(): void {
    const groups = [...this.#unsent.values()];
    this.#unsent = new Map();
    this.#held = 0;
    for (const group of groups) this.#send(group);
  }

  #send(group: Group): void {
    const { nc, connected } = this.#connection;
    this.#sent.delete(group.token);
    if (nc.isClosed() || nc.isDraining()) {
      this.#giveUp(group);
    } else if (connected) {
      this.#publish(group);
    } else {
      this.#interrupt(group);
    }
  }

  #publish(group: Group): void {
    const { nc } = this.#connection;
    const { deliveries, whats } = group;
    group.token = ++this.#tokens;
    group.unanswered = 0;
    this.#sent.set(group.token, group);
    const reply = this.#inbox + group.token;
    const messages = deliveries.map(({ consumer, reply: subject }, nth): ShortMessage => {
      const isLast = consumer !== deliveries[nth + 1]?.consumer;
      if (isLast) group.unanswered++;
      return { subject, text: whats[nth] ?? "", reply: isLast ? reply : undefined };
    });
    publishShort(nc, messages);
    group.sentMs = realClock.now();
  }

  #interrupt(group: Group): void {
    const { nc } = this.#connection;
    if (nc.isClosed() || nc.isDraining()) {
      this.#giveUp(group);
      return;
    }
    this.#sent.delete(group.token);
    group.reject(
      new TransientError(
        "BUS_ACK_INTERRUPTED",
        "the connection to NATS broke before the bus confirmed that an event is done",
        {
          hint: "nothing to do: what was told of it is told again",
        },
      ),
    );
  }

  #answered(error: Error | null, message: Msg): void {
    if (error) return; // told by the connection
    const token = Number(message.subject.slice(this.#inbox.length));
    const group = this.#sent.get(token);
    if (group === undefined) return;
    if (message.headers?.code === 503) {
      // Nobody listens: the consumer has no leader for now, or is gone.
      group.sentMs = Number.NEGATIVE_INFINITY;
      return;
    }
    if (--group.unanswered > 0) return;
    this.#sent.delete(token);
    for (const delivery of group.deliveries) delivery.settled();
    group.resolve();
  }

  #look(): void {
    const now = realClock.now();
    const late = now - confirmMs;
    const closed = this.#connection.nc.isClosed();
    if (closed) this.#sendAll();
    for (const group of this.#sent.values()) {
      if (group.sentMs > late && !closed) continue;
      if (group.deliveries.some(({ lost }) => lost) || group.sinceMs < now - giveUpMs) this.#giveUp(group);
      else this.#send(group);
    }
    if (this.#sent.size > 0 || this.#unsent.size > 0) return;
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #giveUp(group: Group): void {
    this.#sent.delete(group.token);
    for (const delivery of group.deliveries) delivery.settled();
    group.reject(
      new TransientError("BUS_ACK_UNCONFIRMED", "the bus did not confirm that an event is done", {
        hint: "nothing to do: the event is handed out again",
      }),
    );
  }
}
