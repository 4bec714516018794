// A MongoDB source that is open: reads the change stream from where the stream of the bus stands.

import type { MongoClient, Timestamp } from "mongodb";
import { HistoryLostError, TransientError } from "../../errors.ts";
import { JsonWriter } from "../../event/json-writer.ts";
import type { Position } from "../../event/position.ts";
import { onlyPosition, type Positions, positionsAt } from "../../event/positions.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { ConnectorState, Notice, Source, SourceContext, SourceLag, SourceMessage } from "../source.ts";
import { type Batch, ChangeCursor } from "./client/change-cursor.ts";
import { translateError } from "./client/errors.ts";
import { formatPosition, isEarlier, type Place, parsePosition } from "./client/position.ts";
import { tokenText, tokenTime } from "./client/resume-token.ts";
import { EventDecoder } from "./decode/event-decoder.ts";
import { readTime } from "./facts/server-facts.ts";
import { collectionRules } from "./options/collection-rules.ts";
import type { MongoConfig } from "./options/config.ts";
import { streamSettings } from "./options/stream-settings.ts";
import { type Begun, beginRecord } from "./stream-record.ts";

/** How long an answer is waited for when nothing happens. */
const WAIT_MS = 1_000;
/** The same while a transaction's last event waits: an empty answer says that it was the last. */
const SETTLE_MS = 50;
/** How often the place of an idle stream is told, so that it never falls off the oplog. */
const IDLE_EVERY_MS = 10_000;

export interface MongoSourceOptions {
  readonly id: SourceId;
  readonly config: MongoConfig;
  readonly client: MongoClient;
  readonly memory: ConnectorState;
  readonly begun: Begun;
  readonly count: SourceContext["count"];
}

export class MongoSource implements Source {
  readonly id: SourceId;
  readonly #options: MongoSourceOptions;
  #place: Place;
  #caughtUp = false;

  constructor(options: MongoSourceOptions) {
    this.id = options.id;
    this.#options = options;
    this.#place = options.begun.start;
  }

  async *read(options: Parameters<Source["read"]>[0]): AsyncGenerator<readonly SourceMessage[], void> {
    const { signal, onStarted } = options;
    const from = onlyPosition(options.from);
    const { id, config, client, begun, count } = this.#options;
    if (from !== undefined) this.#place = parsePosition(from);
    const place = placeAfter(begun, from);
    const { reads, isOutbox } = collectionRules(config);
    const decoder = new EventDecoder({
      source: id,
      writer: new JsonWriter(),
      encoding: config.encoding,
      images: config.images,
      onMissing: count,
      reads,
      isOutbox,
      from: place,
    });
    const close = (): void => void client.close();
    signal.addEventListener("abort", close);
    let cursor: ChangeCursor | undefined;
    try {
      yield [began(begun)];
      let idleSince = performance.now();
      for (;;) {
        cursor = new ChangeCursor(client, streamSettings(config));
        const opened = decoder.place;
        let batch = await cursor.open(decoder.place).catch((error: unknown) => {
          throw translateError(error, true);
        });
        onStarted?.();
        for (;;) {
          const messages = [...this.#decode(batch, decoder)];
          this.#place = decoder.place;
          this.#caughtUp = batch.events.length === 0;
          if (messages.length > 0) idleSince = performance.now();
          else if (batch.token !== undefined && performance.now() - idleSince >= IDLE_EVERY_MS) {
            messages.push(...decoder.idle(batch.token));
            idleSince = performance.now();
          }
          if (messages.length > 0) yield messages;
          if (batch.ended && decoder.place === opened) throw endedAtOnce(); // what waits before another attempt is the worker's
          if (batch.ended) break;
          if (signal.aborted) return;
          batch = await cursor.next(decoder.waits && !begun.sharded ? SETTLE_MS : WAIT_MS);
        }
        await cursor.close();
      }
    } catch (error) {
      if (!signal.aborted) throw translateError(error);
    } finally {
      signal.removeEventListener("abort", close);
      await cursor?.close();
    }
  }

  *#decode(batch: Batch, decoder: EventDecoder): Generator<SourceMessage> {
    for (const event of batch.events) yield* decoder.decode(event);
    // Behind mongos an empty answer says nothing: one shard may be slower than the others.
    const isIdle = batch.events.length === 0 && !this.#options.begun.sharded;
    const time = batch.token && tokenTime(tokenText(batch.token));
    if (isIdle || (time !== undefined && isEarlier(decoder.place.time, time))) yield* decoder.settle();
  }

  async giveUp(lost: HistoryLostError): Promise<void> {
    const { client, begun, memory } = this.#options;
    const { record } = begun;
    const now = await readTime(client).catch((error: unknown) => {
      throw translateError(error);
    });
    // A stream that is opened at a time shows what happened then, which was read if nothing has happened since.
    const { time } = this.#place;
    const operationTime = now && (isEarlier(time, now) ? now : { t: time.t, i: time.i + 1 });
    await memory.save(
      beginRecord(
        { setName: record.setName, clusterId: record.clusterId, operationTime },
        { history: this.#place.history, lost },
      ),
    );
  }

  /** Nothing to tell: MongoDB keeps its oplog by size and age. */
  async acknowledge(_positions: Positions): Promise<void> {}

  async lag(signal: AbortSignal): Promise<SourceLag> {
    signal.throwIfAborted();
    let end = this.#place;
    if (!this.#caughtUp) {
      const { operationTime } = (await this.#options.client.db("admin").command({ ping: 1 })) as {
        operationTime?: Timestamp;
      };
      if (operationTime !== undefined) end = { ...end, time: { t: operationTime.t, i: operationTime.i } };
    }
    return { unsentBytes: undefined, unconfirmedBytes: 0, end: positionsAt({ position: formatPosition(end, true) }) };
  }

  notices(): readonly Notice[] {
    return [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.client.close();
  }
}

function endedAtOnce(): TransientError {
  return new TransientError("SOURCE_STREAM_ENDED", "the server ended the change stream without an event", {
    hint: "Millrace opens it again; where it goes on, see the server's log.",
  });
}

/** Where the reading goes on: behind what the stream has of this history, which may be nothing yet. */
function placeAfter({ start }: Begun, from: Position | undefined): Place {
  const place = from === undefined ? start : parsePosition(from);
  if (place.history <= start.history) return place.history < start.history ? start : place;
  throw new HistoryLostError(
    "SOURCE_HISTORY",
    `the stream is in history ${place.history}, the source's record in ${start.history}`,
    { hint: "The saved state is older than the stream: run --adopt starts over from now and records the gap." },
  );
}

function began({ start, lost }: Begun): SourceMessage {
  const details = { history: start.history, operationTime: start.time };
  const position = formatPosition(start, true);
  return { type: "began", position, details, ...(lost && { lost: { ...lost, details: {} } }) };
}
