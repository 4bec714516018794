// What comes into `MILLRACE_EVENTS` from outside, or by the clock: each of it once, by what the stream itself holds.

import { JetStreamApiError, type JetStreamManager } from "@nats-io/jetstream";
import { TransientError } from "../../../errors.ts";
import type { StreamMessage } from "../../../event/message.ts";
import { streamName, systemId } from "../../../event/source-id.ts";
import { escapeToken } from "../../../event/subject.ts";
import type { WorkerEvent } from "../../../event/worker-event.ts";
import type { Bus } from "../../bus.ts";
import { encodeWorkerEvent } from "../../encode-event.ts";
import { apiCodes } from "../client/api-codes.ts";
import { asked, busError, orNothing } from "../client/bus-errors.ts";
import type { Connection } from "../client/connection.ts";
import type { WorkerEvents } from "../client/worker-events.ts";
import { MAX_ADDED_HEADER_BYTES } from "../stream/encode.ts";
import { PublishRefused, type StoredMessage } from "../stream/port.ts";
import { Acks } from "./acks.ts";
import { Intake } from "./intake.ts";
import { type EncodedEvent, outsideMessage } from "./receipt.ts";

const STREAM = streamName(systemId);
const ACK_MS = 5000;
/** How long a bus that is away is waited for with a large body in hand. */
const CLAIM_MS = 10_000;

export interface OutsideEventsOptions {
  readonly connection: Connection;
  readonly jsm: JetStreamManager;
  readonly instance: string;
  readonly make: WorkerEvents["make"];
  /** Stores a body that is too large for a message. @throws TransientError, ConfigError */
  claim(message: StreamMessage, signal: AbortSignal): Promise<StreamMessage>;
}

export class OutsideEvents implements Pick<Bus, "receive" | "fire" | "newest"> {
  readonly #options: OutsideEventsOptions;
  readonly #acks: Acks;
  readonly #intake: Intake;

  constructor(options: OutsideEventsOptions) {
    const { connection, instance, make } = options;
    this.#options = options;
    this.#acks = new Acks(connection);
    this.#intake = new Intake({
      instance,
      acks: this.#acks,
      make: () => make({ subjects: ["events._in.>", "events._post.>", "dedupe._in.>"], received: true }),
      newest: (subject) => this.#newest(subject),
    });
  }

  async receive(event: WorkerEvent, keys: Parameters<Bus["receive"]>[1]): ReturnType<Bus["receive"]> {
    const { connection } = this.#options;
    if (!connection.connected) {
      throw new TransientError("BUS_INTERRUPTED", "NATS is not connected", { hint: "it is to be sent again" });
    }
    return this.#intake.receive(await this.#fit(encodeWorkerEvent(event)), keys);
  }

  async fire(event: WorkerEvent, after: number): Promise<number | undefined> {
    const { subject, head, data } = encodeWorkerEvent(event);
    const lines = `NATS/1.0\r\n${head}Nats-Expected-Last-Subject-Sequence: ${after}\r\n\r\n`;
    const message = { subject, headers: Buffer.from(lines, "latin1"), data };
    try {
      return (await this.#acks.send([message], ACK_MS)).seq;
    } catch (thrown) {
      if (thrown instanceof TransientError && thrown.code === "BUS_NO_STREAM") {
        // Nothing is stored. Whoever asks again finds the stream.
        await this.#options.make({ subjects: [`events.${event.origin}.>`] });
        throw thrown;
      }
      if (!(thrown instanceof PublishRefused)) throw busError(thrown, `store an event in ${STREAM}`);
      if (apiCodes.wrongLast.includes(thrown.apiCode)) return undefined;
      const error = { code: 400, err_code: thrown.apiCode, description: thrown.message };
      throw busError(new JetStreamApiError(error), `store an event in ${STREAM}`);
    }
  }

  async newest(origin: WorkerEvent["origin"], aggregate: string): ReturnType<Bus["newest"]> {
    const found = await this.#newest(`events.${origin}.${escapeToken(aggregate)}.>`);
    return found && { sequence: found.seq, time: found.header("ce-time") ?? "" };
  }

  /** A body that is too large for a message goes to the object store, before the event that points to it. */
  async #fit({ subject, id, head, data }: EncodedEvent & { readonly id: string }): Promise<EncodedEvent> {
    const { connection, claim } = this.#options;
    if (head.length + data.length + MAX_ADDED_HEADER_BYTES <= connection.maxPayload) return { subject, head, data };
    return claim(outsideMessage({ subject, id, head, data }), AbortSignal.timeout(CLAIM_MS));
  }

  async #newest(subject: string): Promise<StoredMessage | undefined> {
    const get = this.#options.jsm.streams.getMessage(STREAM, { last_by_subj: subject });
    const stored = await asked(`read the newest message of ${subject}`, () =>
      orNothing(get, apiCodes.streamNotFound, apiCodes.noMessageFound),
    );
    if (!stored) return undefined;
    const { seq, header, data } = stored;
    return { seq, subject: stored.subject, data, header: (name) => header?.get(name) || undefined };
  }
}
