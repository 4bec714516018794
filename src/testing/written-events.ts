// Writes what a test gives as a worker would: through the product's own encoder and writer, each event in a transaction of its own.

import { type GivenChange, isGivenChange } from "../automation/define/given-row.ts";
import type { Bus } from "../bus/bus.ts";
import type { SourceStream, Writer } from "../bus/source-stream.ts";
import type { Clock } from "../clock.ts";
import { BugError } from "../errors.ts";
import type { ChangeBody } from "../event/change-event.ts";
import { domainEvent } from "../event/domain-event.ts";
import { canonicalJson, laneOf } from "../event/lane.ts";
import { lineageOf } from "../event/lineage.ts";
import type { StreamMessage } from "../event/message.ts";
import { percentEncode } from "../event/percent.ts";
import type { Position } from "../event/position.ts";
import type { ChangeKind, CopiedRow, Domain, Transaction } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import { entryOf } from "../outbox/entry.ts";
import type { GivenDomain, GivenEvent } from "./given-event.ts";

/** What a message says of its event that a handler's `tx` writes down. */
export interface Envelope {
  readonly source: string;
  readonly subject: string;
  readonly lineage: ReturnType<typeof lineageOf>;
}

const FLUSH_MS = 60_000;

export class WrittenEvents {
  /** Ids, in the order in which they were given. */
  readonly ids: string[] = [];
  readonly envelopes = new Map<string, Envelope>();
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #writers = new Map<SourceId, { readonly stream: SourceStream; readonly writer: Writer }>();
  readonly #kinds = new Map<string, ChangeKind>();

  constructor(bus: Bus, clock: Clock) {
    this.#bus = bus;
    this.#clock = clock;
  }

  /** Makes the streams, so that automations find them. */
  async open(sources: Iterable<SourceId>): Promise<void> {
    for (const source of sources) {
      const stream = this.#bus.stream(source);
      this.#writers.set(source, { stream, writer: await stream.openWriter(new AbortController().signal) });
    }
  }

  /** @param usual the source of domain events that name none @throws PoisonError `OUTBOX_EVENT_INVALID` */
  async write(events: readonly GivenEvent[], usual: SourceId): Promise<void> {
    for (const event of events) {
      if (isGivenChange(event) && event.body.op === "read") await this.#copy(event);
      else if (isGivenChange(event))
        await this.#store(event.source, (transaction, place) => this.#change(event, transaction, place));
      else if (event.given === "system") await this.#tell(event.event);
      else {
        const domain = await domainOf(event);
        await this.#store(event.source ?? usual, (transaction, position) => ({
          ...domain,
          transaction: { ...transaction, lineage: event.lineage },
          position,
        }));
      }
    }
    for (const { writer } of this.#writers.values()) await writer.flush(FLUSH_MS);
  }

  async close(): Promise<void> {
    for (const { writer } of this.#writers.values()) await writer[Symbol.asyncDispose]();
  }

  async #tell(event: Parameters<Bus["publish"]>[0]): Promise<void> {
    this.ids.push(event.id);
    // What is due has its time.
    const time = event.origin === "_schedule" ? event.time : this.#time();
    await this.#bus.publish({ ...event, time });
  }

  async #store(
    source: SourceId,
    make: (transaction: Transaction, position: Position) => Parameters<SourceStream["encode"]>[0],
  ): Promise<void> {
    const { stream, writer } = this.#writers.get(source) ?? fail(source);
    const nth = this.ids.length + 1;
    const position = positionAt(nth);
    const message = stream.encode(make({ id: String(nth), time: this.#time(), lineage: undefined }, position));
    this.ids.push(message.id);
    this.envelopes.set(message.id, envelopeOf(message));
    const large = message.head.length + message.data.length > stream.maxMessageBytes;
    await writer.write([large ? await stream.claim(message, new AbortController().signal) : message]);
  }

  /** As a copy stores it: of no transaction, at the place that the stream is at, each by a copy with a number of its own. */
  async #copy({ source, namespace, name, body }: GivenChange): Promise<void> {
    const { stream, writer } = this.#writers.get(source) ?? fail(source);
    const backfill = this.ids.length + 1;
    const kind = this.#kindOf(namespace, name, body.op);
    const row: CopiedRow = { type: "copied", kind, backfill, collectionId: name, time: this.#time(), ...rowOf(body) };
    let messages: readonly StreamMessage[] = [];
    await writer.write([{ type: "commit", position: positionAt(backfill) }]);
    await writer.insert({
      notBefore: new Map(),
      progress: {},
      messages: (place) => {
        messages = [stream.encodeCopied(row, place)];
        return messages;
      },
    });
    for (const message of messages) {
      this.ids.push(message.id);
      this.envelopes.set(message.id, envelopeOf(message));
    }
  }

  #change(
    { namespace, name, body }: GivenChange,
    transaction: Transaction,
    position: Position,
  ): Parameters<SourceStream["encode"]>[0] {
    return { type: "change", kind: this.#kindOf(namespace, name, body.op), transaction, position, ...rowOf(body) };
  }

  #kindOf(namespace: string, collection: string, op: ChangeKind["op"]): ChangeKind {
    const name = JSON.stringify([namespace, collection, op]);
    const kind = this.#kinds.get(name) ?? { namespace, collection, op, version: undefined };
    this.#kinds.set(name, kind);
    return kind;
  }

  /** As a commit has it: RFC 3339 with microseconds. */
  #time(): string {
    return new Date(this.#clock.wall()).toISOString().replace("Z", "000Z");
  }
}

async function domainOf(event: GivenDomain): Promise<Omit<Domain, "transaction" | "position">> {
  const { id, type, key, data, headers } = await entryOf(event.type, event.event, undefined);
  const dot = type.indexOf(".");
  return domainEvent({
    id,
    aggregatetype: type.slice(0, dot),
    type: type.slice(dot + 1),
    aggregateid: key,
    payload: Buffer.from(data),
    headers: JSON.parse(headers) as unknown,
  });
}

function positionAt(nth: number): Position {
  return `${nth.toString(16).padStart(16, "0")}+` as Position;
}

function rowOf(body: ChangeBody): Pick<CopiedRow, "lane" | "key" | "data"> {
  const keys = Object.values(body.key ?? {});
  return {
    lane: laneOf(Buffer.from(canonicalJson(body.key))),
    key: keys.map((value) => percentEncode(textOf(value)).replaceAll(",", "%2C")).join(","),
    data: Buffer.from(JSON.stringify(body)),
  };
}

function envelopeOf({ head }: StreamMessage): Envelope {
  const header = (name: string): string | undefined => new RegExp(`^${name}: (.*)\r$`, "m").exec(head)?.[1];
  return { source: header("ce-source") ?? "", subject: header("ce-subject") ?? "", lineage: lineageOf({ header }) };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function fail(source: SourceId): never {
  throw new BugError("TESTING_STREAM", `no stream was made for ${source}`);
}
