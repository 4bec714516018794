// A MongoDB source that is open: reads the change stream from where the stream of the bus stands.

import type { MongoClient } from "mongodb";
import { BugError, HistoryLostError } from "../../errors.ts";
import type { Position } from "../../event/position.ts";
import { onlyPosition, type Positions, positionsAt } from "../../event/positions.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { JsonWriter } from "../json-writer.ts";
import type { ConnectorState, Notice, Source, SourceContext, SourceLag, SourceMessage } from "../source.ts";
import { MongoCopier } from "./backfill/copier.ts";
import { translateError } from "./client/errors.ts";
import { type ClusterTime, formatPosition, isEarlier, type Place, parsePosition } from "./client/position.ts";
import { EventDecoder } from "./decode/event-decoder.ts";
import { readTime } from "./facts/server-facts.ts";
import { ImageWatch } from "./image-watch.ts";
import { collectionRules } from "./options/collection-rules.ts";
import type { MongoConfig } from "./options/config.ts";
import { streamSettings } from "./options/stream-settings.ts";
import {
  type Begun,
  beginRecord,
  begunOf,
  isOwnToken,
  recordReading,
  type StreamRecord,
} from "./record/stream-record.ts";
import { bytesOf, StreamReading } from "./stream-reading.ts";
import { Unconfirmed } from "./unconfirmed.ts";

export interface MongoSourceOptions {
  readonly id: SourceId;
  readonly config: MongoConfig;
  readonly client: MongoClient;
  readonly memory: ConnectorState;
  readonly log: Logger;
  readonly count: SourceContext["count"];
  /** As it is saved. */
  readonly record: StreamRecord;
}

export class MongoSource implements Source {
  readonly id: SourceId;
  readonly copier: MongoCopier;
  readonly #options: MongoSourceOptions;
  readonly #images: ImageWatch;
  #record: StreamRecord;
  /** Where the newest reading began, or ended. */
  #place: Place;
  #reading: StreamReading | undefined;
  #unconfirmed = new Unconfirmed();

  constructor(options: MongoSourceOptions) {
    this.id = options.id;
    this.#options = options;
    this.#record = options.record;
    this.#images = new ImageWatch(options);
    this.#place = begunOf(options.record).start;
    this.copier = this.#copier();
  }

  async *read(options: Parameters<Source["read"]>[0]): AsyncGenerator<readonly SourceMessage[], void> {
    const { signal, onStarted = () => {} } = options;
    const from = onlyPosition(options.from);
    if (this.#reading !== undefined) throw new BugError("ALREADY_READING", "a source has one reader at a time");
    if (signal.aborted) return;
    try {
      const reading = await this.#open(from, signal, onStarted);
      this.#reading = reading;
      this.#unconfirmed = new Unconfirmed();
      yield [began(begunOf(this.#record))];
      for await (const chunk of reading.chunks()) {
        const end = chunk.at(-1)?.position;
        if (end !== undefined) this.#unconfirmed.handedOut(bytesOf(chunk), end);
        yield chunk;
      }
    } catch (error) {
      if (!signal.aborted) throw translateError(error);
    } finally {
      this.#place = this.#reading?.place ?? this.#place;
      this.#reading = undefined;
    }
  }

  /** Behind what the stream has. That it is read by other settings than before is on record before the server is asked. */
  async #open(from: Position | undefined, signal: AbortSignal, onStarted: () => void): Promise<StreamReading> {
    const { id, config, client, memory, count } = this.#options;
    if (from !== undefined) this.#place = parsePosition(from);
    const record = recordReading(this.#record, config, from);
    const place = placeAfter(begunOf(record), from);
    if (record !== this.#record) await memory.save(record);
    this.#record = record;
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
    return new StreamReading({
      client,
      settings: streamSettings(config),
      decoder,
      isOwnToken: from === undefined || isOwnToken(record, from),
      answersForAll: !begunOf(record).sharded,
      signal,
      onStarted,
    });
  }

  async giveUp(lost: HistoryLostError): Promise<void> {
    const { client, config, memory } = this.#options;
    const { setName, clusterId } = this.#record;
    const now = await readTime(client).catch((error: unknown) => {
      throw translateError(error);
    });
    // A stream that is opened at a time shows what happened then, which was read if nothing has happened since.
    const { time, ordinal } = this.#place;
    const operationTime = now && (isEarlier(time, now) || ordinal === 0 ? now : { t: time.t, i: time.i + 1 });
    const history = Math.max(this.#place.history, this.#record.history);
    await memory.save(beginRecord({ setName, clusterId, operationTime }, config, { history, lost }));
  }

  /** MongoDB keeps its oplog by size and age, whoever reads it: there is nothing to tell. */
  async acknowledge(positions: Positions): Promise<void> {
    const position = onlyPosition(positions);
    if (position !== undefined) this.#unconfirmed.acknowledged(position);
  }

  async lag(signal: AbortSignal): Promise<SourceLag> {
    signal.throwIfAborted();
    try {
      await this.#images.look();
      const end = positionsAt({ position: formatPosition(await this.#end(), true) });
      return { unsentBytes: undefined, unconfirmedBytes: this.#unconfirmed.bytes, end };
    } catch (error) {
      throw translateError(error);
    }
  }

  /** Where the log ended before now: what was read, where that was all; else its time, which is reached by what comes at or behind it. */
  async #end(): Promise<Place> {
    const { client } = this.#options;
    if (this.#reading?.caughtUp === true) return this.#reading.place;
    const time = await readTime(client);
    const { place } = this.#reading ?? { place: this.#place };
    if (time === undefined || !isEarlier(place.time, time)) return place;
    this.#reading?.ask(time);
    return { history: place.history, time, ordinal: 0, idle: 0, token: undefined };
  }

  #copier(): MongoCopier {
    const { client, config, record } = this.#options;
    const placeOf = (): Place => this.#reading?.place ?? this.#place;
    const log = {
      sharded: begunOf(record).sharded,
      get place() {
        return placeOf();
      },
      hurry: () => this.#reading?.hurry(),
      ask: (time: ClusterTime) => this.#reading?.ask(time),
    };
    return new MongoCopier({ client, config, log });
  }

  notices(): readonly Notice[] {
    return this.#images.notices;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.client.close();
  }
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
