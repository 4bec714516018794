// Acks that the server confirms, one by one, for little: one inbox for all of them, counted tokens, one look at what is
// late instead of a timer each, and one write to the socket for all that come up within two milliseconds.

import { createInbox, type Msg } from "@nats-io/transport-node";
import { realClock } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import type { Connection } from "../client/connection.ts";

/** After so long a server that was set back may never have handed it out: then it does so once more. */
const giveUpMs = 30_000;
/** Without an answer for this long it is asked again. */
const confirmMs = 5000;
const lookMs = 250;
/** At a thousand events a second a write for each of them costs the server a seventh of its time, and us a tenth. */
const holdMs = 2;
/** So many are worth a write of their own. */
const maxHeld = 16;
/** Handlers that never let the event loop turn must not hold back the acks of those before them for longer. */
const maxHoldMs = 50;

/** What is to be settled. */
export interface Confirmable {
  /** Where the server takes the ack; another one once it has handed the message out again. */
  readonly reply: string;
  /** Nobody is there any more to confirm it. */
  readonly lost: boolean;
  /** Called once it is confirmed, or nobody waits for that any more. */
  settled(): void;
}

interface Waiting {
  readonly token: number;
  readonly delivery: Confirmable;
  readonly what: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly sinceMs: number;
  sentMs: number;
}

export class Confirmations {
  readonly #connection: Connection;
  readonly #inbox: string = `${createInbox()}.`;
  readonly #waiting = new Map<number, Waiting>();
  #unsent: Waiting[] = [];
  #tokens = 0;
  #looking: NodeJS.Timeout | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
    const { nc } = connection;
    nc.subscribe(`${this.#inbox}*`, { callback: (error, message) => this.#answered(error, message) });
    // What was under way may be lost, and so may what was told before it: whoever waits sees to both.
    connection.onDisruption(() => {
      for (const waiting of this.#waiting.values()) this.#interrupt(waiting);
    });
    void nc.closed().then(() => this.#look());
  }

  /**
   * Sends what settles a delivery, again and again until the server has confirmed it.
   * @throws TransientError when the connection broke meanwhile, and when nobody can confirm it any more
   */
  confirm(delivery: Confirmable, what: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const token = ++this.#tokens;
      const now = realClock.now();
      const waiting = { token, delivery, what, resolve, reject, sinceMs: now, sentMs: now };
      this.#waiting.set(token, waiting);
      const held = this.#unsent.push(waiting);
      if (held === 1) setTimeout(() => this.#sendAll(), holdMs);
      else if (held === maxHeld || now - (this.#unsent[0]?.sentMs ?? now) > maxHoldMs) this.#sendAll();
      this.#looking ??= setInterval(() => this.#look(), lookMs);
    });
  }

  #sendAll(): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    for (const waiting of unsent) if (this.#waiting.has(waiting.token)) this.#send(waiting);
  }

  #send(waiting: Waiting): void {
    const { nc, connected } = this.#connection;
    if (nc.isClosed() || nc.isDraining()) {
      this.#giveUp(waiting);
    } else if (connected) {
      nc.publish(waiting.delivery.reply, waiting.what, { reply: this.#inbox + waiting.token });
      waiting.sentMs = realClock.now();
    } else {
      this.#interrupt(waiting);
    }
  }

  #interrupt(waiting: Waiting): void {
    const { nc } = this.#connection;
    if (nc.isClosed() || nc.isDraining()) {
      this.#giveUp(waiting);
      return;
    }
    this.#waiting.delete(waiting.token);
    waiting.reject(
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
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    if (message.headers?.code === 503) {
      // Nobody listens: the consumer has no leader for now, or is gone.
      waiting.sentMs = Number.NEGATIVE_INFINITY;
      return;
    }
    this.#waiting.delete(token);
    waiting.delivery.settled();
    waiting.resolve();
  }

  #look(): void {
    const now = realClock.now();
    const late = now - confirmMs;
    const closed = this.#connection.nc.isClosed();
    for (const waiting of this.#waiting.values()) {
      if (waiting.sentMs > late && !closed) continue;
      if (waiting.delivery.lost || waiting.sinceMs < now - giveUpMs) this.#giveUp(waiting);
      else this.#send(waiting);
    }
    if (this.#waiting.size > 0) return;
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #giveUp({ token, delivery, reject }: Waiting): void {
    this.#waiting.delete(token);
    delivery.settled();
    reject(
      new TransientError("BUS_ACK_UNCONFIRMED", "the bus did not confirm that an event is done", {
        hint: "nothing to do: the event is handed out again",
      }),
    );
  }
}
