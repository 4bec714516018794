// Publishes on an inbox of its own, many at once: each ends by the server's answer, or by not knowing.

import { createInbox, type Msg } from "@nats-io/transport-node";
import { TransientError, toError } from "../../../errors.ts";
import { busError } from "../client/bus-errors.ts";
import type { Connection } from "../client/connection.ts";
import type { Encoded, PublishAck } from "../stream/port.ts";
import { parseAck, publishRaw } from "../stream/raw-publish.ts";

interface Flight {
  readonly subjects: ReadonlySet<string>;
  readonly resolve: (ack: PublishAck) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

export class Acks {
  readonly #connection: Connection;
  readonly #inbox: string = `${createInbox()}.`;
  readonly #flights = new Map<number, Flight>();
  #count = 0;
  #listening = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Sends messages as one; the answer is to the last of them.
   * @throws PublishRefused when the server says no; TransientError when the answer is lost or late
   */
  send(messages: readonly Encoded[], withinMs: number): Promise<PublishAck> {
    if (!this.#connection.connected) return Promise.reject(unanswered("NATS is not connected"));
    this.#listen();
    const number = ++this.#count;
    return new Promise((resolve, reject) => {
      const late = () => this.#take(number)?.reject(unanswered(`no acknowledgement within ${withinMs} ms`));
      const timer = setTimeout(late, withinMs);
      this.#flights.set(number, { subjects: new Set(messages.map(({ subject }) => subject)), resolve, reject, timer });
      try {
        publishRaw(this.#connection.nc, messages, this.#inbox + number);
      } catch (thrown) {
        this.#take(number)?.reject(busError(thrown, "publish"));
      }
    });
  }

  /** With the first one: most workers send none. */
  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    const connection = this.#connection;
    connection.nc.subscribe(`${this.#inbox}*`, {
      callback: (broken, message) => {
        if (!broken) this.#answered(message); // else told by the connection
      },
    });
    connection.onDisruption(() => {
      for (const number of this.#flights.keys())
        this.#take(number)?.reject(unanswered("the connection to NATS was interrupted"));
    });
    connection.onPublishRefused((subject) => {
      for (const [number, { subjects }] of this.#flights)
        if (subjects.has(subject)) this.#take(number)?.reject(refused(subject));
    });
  }

  #answered(message: Msg): void {
    const flight = this.#take(Number(message.subject.slice(this.#inbox.length)));
    if (flight === undefined) return; // an answer nobody waits for any more
    try {
      flight.resolve(parseAck(message));
    } catch (thrown) {
      flight.reject(toError(thrown));
    }
  }

  #take(number: number): Flight | undefined {
    const flight = this.#flights.get(number);
    this.#flights.delete(number);
    clearTimeout(flight?.timer);
    return flight;
  }
}

function refused(subject: string): TransientError {
  return new TransientError("BUS_PERMISSION", `NATS does not let this user publish to ${subject}`, {
    hint: "give the worker's user the permission to publish to events.> and dedupe._in.>",
  });
}

function unanswered(what: string): TransientError {
  return new TransientError("BUS_INTERRUPTED", what, {
    hint: "whoever sent it is told to send it again; it is stored once",
  });
}
