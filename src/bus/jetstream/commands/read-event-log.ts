// Reads the event log for a person: the records of an automation, and what became of an event and of all along its correlation id.

import { type JetStreamManager, type JsMsg, jetstreamManager } from "@nats-io/jetstream";
import { z } from "zod";
import { percentDecoded } from "../../../event/percent.ts";
import { type SourceId, streamName, systemId } from "../../../event/source-id.ts";
import type { BusAccess } from "../client/access.ts";
import { asked } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import type { Connection } from "../client/connection.ts";
import { LOG_STREAM } from "../client/event-log.ts";
import { readToEnd } from "./read-to-end.ts";

const text = z.string().exactOptional();
const bodySchema = z.object({
  stream: z.string(),
  time: z.string(),
  worker: z.string(),
  run: text,
  sequence: z.int().exactOptional(),
  ranges: z.array(z.tuple([z.int(), z.int()])).exactOptional(),
  count: z.int().exactOptional(),
  id: text,
  type: text,
  attempt: z.int().exactOptional(),
  reason: text,
  error: z.object({ name: z.string(), code: text }).exactOptional(),
  would: text,
  effects: z.array(z.object({ kind: z.string(), to: text, type: text, count: z.int() })).exactOptional(),
  more: z.int().exactOptional(),
  delayMs: z.number().exactOptional(),
  durationMs: z.number().exactOptional(),
  correlationId: text,
  causationId: text,
});

/** A record as docs/wire.md has it, with what its subject says. */
export type LoggedRecord = z.infer<typeof bodySchema> & { readonly automation: string; readonly outcome: string };

/** An event and what it was caused by. */
export interface LoggedEvent {
  readonly stream: string;
  readonly sequence: number;
  readonly id: string;
  readonly type: string;
  readonly time: string | undefined;
  readonly causationId: string | undefined;
  /** It has left its stream: known by what is on record alone. */
  readonly left?: true;
  readonly outcomes: readonly LoggedRecord[];
}

export interface LogQuery {
  readonly automation: string;
  /** Of these outcomes only; undefined: of all. */
  readonly outcomes?: readonly string[] | undefined;
  readonly since?: Date | undefined;
  /** The newest of them, at most. */
  readonly last: number;
}

export interface EventLogReader extends AsyncDisposable {
  /** The oldest first. @throws TransientError, ConfigError */
  ofAutomation(query: LogQuery): Promise<readonly LoggedRecord[]>;
  /**
   * An event with its outcomes, and those that share its correlation id: the one that was asked for first, then the others in the
   * order of their streams. Undefined where no stream holds it and no record is of it; a record of many at once has their places, not their ids.
   * @param id its `ce-id`, or `<stream>:<sequence>`
   * @throws TransientError, ConfigError
   */
  ofEvent(id: string): Promise<readonly LoggedEvent[] | undefined>;
}

/** @param sources whose streams hold events @throws TransientError, ConfigError; the signal's reason */
export async function openEventLog(
  access: BusAccess,
  sources: readonly SourceId[],
  signal: AbortSignal,
): Promise<EventLogReader> {
  const connection = await connectOnce(access, signal);
  const jsm = await jetstreamManager(connection.nc, { checkAPI: false });
  const reader = new Reader(connection, jsm, [...sources, systemId].map(streamName));
  return {
    ofAutomation: (query) => asked(`read ${LOG_STREAM}`, () => reader.ofAutomation(query)),
    ofEvent: (id) => asked(`read ${LOG_STREAM}`, () => reader.ofEvent(id)),
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}

class Reader {
  readonly #connection: Connection;
  readonly #jsm: JetStreamManager;
  readonly #streams: readonly string[];

  constructor(connection: Connection, jsm: JetStreamManager, streams: readonly string[]) {
    this.#connection = connection;
    this.#jsm = jsm;
    this.#streams = streams;
  }

  async ofAutomation({ automation, outcomes, since, last }: LogQuery): Promise<readonly LoggedRecord[]> {
    const subjects = (outcomes ?? ["*"]).map((outcome) => `log.${automation}.${outcome}`);
    const records: LoggedRecord[] = [];
    for await (const record of this.#records(subjects, since)) {
      records.push(record);
      if (records.length > 2 * last) records.splice(0, records.length - last);
    }
    return records.slice(-last);
  }

  async ofEvent(id: string): Promise<readonly LoggedEvent[] | undefined> {
    const found = (await this.#find(id)) ?? (await this.#recorded(id));
    if (found === undefined) return undefined;
    const root = found.correlationId;
    const chain = [found];
    for await (const event of this.#events())
      if (event.correlationId === root && event.id !== found.id) chain.push(event);
    const outcomes = new Map(chain.map((event) => [event, [] as LoggedRecord[]]));
    const oldest = found.storedAt === undefined ? undefined : chain.map(({ storedAt = "" }) => storedAt).sort()[0];
    for await (const record of this.#records(["log.>"], oldest === undefined ? undefined : new Date(oldest)))
      for (const [event, its] of outcomes) if (isAbout(record, event)) its.push(record);
    return chain.map(({ stream, sequence, id, type, time, causationId, storedAt }, nth) => ({
      stream,
      sequence,
      id,
      type,
      time,
      causationId,
      ...(storedAt === undefined && { left: true as const }),
      outcomes: outcomes.get(chain[nth] as Found) ?? [],
    }));
  }

  /** By the newest record of an event that has left its stream. */
  async #recorded(id: string): Promise<Found | undefined> {
    const place = placeIn(id);
    let found: Found | undefined;
    for await (const record of this.#records(["log.>"], undefined)) {
      const { stream, sequence = Number(place?.[2]), type = "" } = record;
      const at = { stream: place?.[1] ?? "", sequence: Number(place?.[2]), id };
      if (place ? !isAbout({ ...record, id: undefined }, at) : record.id !== id) continue;
      const named = record.id ?? found?.id ?? id;
      found = {
        ...{ stream, sequence, id: named, type: type || (found?.type ?? "") },
        ...{ time: undefined, storedAt: undefined },
        causationId: record.causationId ?? found?.causationId,
        correlationId: record.correlationId ?? found?.correlationId ?? named,
      };
    }
    return found;
  }

  async #find(id: string): Promise<Found | undefined> {
    const place = placeIn(id);
    for await (const event of this.#events())
      if (place ? event.stream === place[1] && event.sequence === Number(place[2]) : event.id === id) return event;
    return undefined;
  }

  async *#events(): AsyncGenerator<Found> {
    for (const stream of this.#streams) {
      const messages = readToEnd(this.#connection, this.#jsm, stream, { subjects: [">"], headersOnly: true });
      for await (const message of messages) {
        const event = eventIn(stream, message);
        if (event !== undefined) yield event;
      }
    }
  }

  async *#records(subjects: readonly string[], since: Date | undefined): AsyncGenerator<LoggedRecord> {
    for await (const message of readToEnd(this.#connection, this.#jsm, LOG_STREAM, { subjects, since })) {
      const record = recordIn(message);
      if (record !== undefined) yield record;
    }
  }
}

interface Found extends Omit<LoggedEvent, "outcomes" | "left"> {
  readonly correlationId: string;
  /** Undefined of one that is not there any more. */
  readonly storedAt: string | undefined;
}

function placeIn(id: string): RegExpExecArray | null {
  return /^([A-Z][A-Z0-9_]*):(\d+)$/.exec(id);
}

/** Undefined for a marker, and for what is none of ours. */
function eventIn(stream: string, message: JsMsg): Found | undefined {
  if (message.subject.startsWith("meta.")) return undefined;
  const header = (name: string): string | undefined => {
    const value = message.headers?.get(name);
    return value ? percentDecoded(value) : undefined;
  };
  const id = header("ce-id");
  if (id === undefined) return undefined;
  return {
    stream,
    sequence: message.seq,
    id,
    type: header("ce-type") ?? message.subject,
    time: header("ce-time"),
    causationId: header("ce-causationid"),
    correlationId: header("ce-correlationid") ?? id,
    storedAt: message.time.toISOString(),
  };
}

/** Undefined for what is not one of ours. */
function recordIn(message: JsMsg): LoggedRecord | undefined {
  const [, automation = "", outcome = ""] = message.subject.split(".");
  try {
    const found = bodySchema.safeParse(message.json());
    return found.success ? { ...found.data, automation, outcome } : undefined;
  } catch {
    return undefined;
  }
}

function isAbout(
  {
    stream,
    sequence,
    ranges = [],
    id,
  }: Pick<LoggedRecord, "stream" | "sequence" | "ranges"> & { readonly id?: string | undefined },
  event: Pick<LoggedEvent, "stream" | "sequence" | "id">,
): boolean {
  if (stream !== event.stream) return false;
  // The same number may have been another event's, on a bus that was set back.
  if (sequence !== undefined) return sequence === event.sequence && (id === undefined || id === event.id);
  return ranges.some(([first, last]) => first <= event.sequence && event.sequence <= last);
}
