// Hands events of the past to one automation once more: reads a stream over a range, and stores what is wanted in MILLRACE_RETRY,
// never more than a worker keeps up with. How far it is stands on record, so that one that was interrupted goes on.

import { DeliverPolicy, type JsMsg, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { realClock } from "../../../clock.ts";
import { ConfigError } from "../../../errors.ts";
import type { StoredMessage } from "../../../event/parse-event.ts";
import { retrySubject } from "../../../event/retry-message.ts";
import type { StateStore } from "../../state-store.ts";
import type { BusAccess } from "../client/access.ts";
import { apiCodes } from "../client/api-codes.ts";
import { SCHEMA_BUCKET, STATE_BUCKET } from "../client/buckets.ts";
import { asked, orNothing } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import { firstSince } from "../client/first-since.ts";
import { openRetryStream, RETRY_STREAM } from "../client/retry-stream.ts";
import { openStateStore } from "../client/state-store.ts";

/** So many are stored between two looks at what waits. */
const BATCH = 500;
/** Or so much, in bytes: all of them are under way at once. */
const BATCH_BYTES = 8 * 1024 * 1024;
/** So many the server sends ahead, each of which may be as large as a message may be. */
const AHEAD = 100;
/** More may not wait for the automation. */
const MOST_WAITING = 2000;
const LOOK_MS = 250;

/** An end of the range: a time at which the bus stored a message, or a sequence. */
export type RangeEnd = Date | number;

/** What of one stream is handed out. */
export interface ReplayedStream {
  readonly stream: string;
  readonly filters: readonly string[];
}

export interface ReplayRequest {
  readonly automation: string;
  readonly streams: readonly ReplayedStream[];
  readonly from?: RangeEnd | undefined;
  readonly to?: RangeEnd | undefined;
  /** Names the run; one that was interrupted goes on where it was. */
  readonly run: string;
  /** Whether it was begun before: then it is refused where nothing of it is on record. */
  readonly begun?: boolean;
  /** Only counts. */
  readonly dry: boolean;
  readonly wanted: (message: StoredMessage) => Promise<boolean>;
  readonly onProgress: (progress: ReplayProgress) => void;
}

export interface ReplayProgress {
  readonly done: number;
  readonly total: number;
  /** It waits for a worker: so many are not handled yet. */
  readonly waiting: number;
}

/** One event of it. */
export interface ReplayedEvent {
  readonly stream: string;
  readonly sequence: number;
  readonly id: string | undefined;
  readonly subject: string;
  readonly at: string;
}

/** What was done of one stream. */
export interface StreamReplay {
  readonly stream: string;
  /** Both ends included; `to` below `from` where there is nothing. */
  readonly from: number;
  readonly to: number;
  readonly matched: number;
  readonly first: ReplayedEvent | null;
  readonly last: ReplayedEvent | null;
  readonly sample: readonly ReplayedEvent[];
  /** What was asked for, and has left the stream. */
  readonly left: string | null;
}

export interface EventReplay extends AsyncDisposable {
  readonly schemas: StateStore;
  replay(request: ReplayRequest): Promise<readonly StreamReplay[]>;
}

const SAMPLE = 5;

/** What is kept of one that is not done: by stream, the next sequence that is looked at, and the last one. */
type Progress = Readonly<Record<string, { readonly next: number; readonly to: number; readonly matched: number }>>;

/** @throws ConfigError, TransientError */
export async function openEventReplay({
  signal,
  replicas,
  ...access
}: BusAccess & { readonly replicas: number; readonly signal: AbortSignal }): Promise<EventReplay> {
  const connection = await connectOnce(access, signal);
  const { nc } = connection;
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const js = jetstream(nc);
  const retries = openRetryStream(nc, { replicas });
  const state = await openStateStore(nc, { bucket: STATE_BUCKET, replicas });
  const schemas = await openStateStore(nc, { bucket: SCHEMA_BUCKET, replicas });

  const waiting = async (automation: string): Promise<number> => {
    const subject = retrySubject(automation);
    const ask = jsm.streams.info(RETRY_STREAM, { subjects_filter: subject });
    return (await orNothing(ask, apiCodes.streamNotFound))?.state.subjects?.[subject] ?? 0;
  };

  const one = async (request: ReplayRequest, { stream, filters }: ReplayedStream): Promise<StreamReplay> => {
    const { automation, run, dry, wanted, onProgress } = request;
    const { state: found } = await jsm.streams.info(stream);
    const firstMs = Date.parse(String(found.first_ts));
    const key = `replay.${automation}.${run}`;
    const entry = dry ? undefined : await state.get(key);
    const kept = (entry?.value as Progress | undefined)?.[stream];
    const asFrom = request.from instanceof Date ? await firstSince(jsm, stream, request.from) : (request.from ?? 1);
    const from = kept?.next ?? Math.max(asFrom, found.first_seq);
    const asTo = request.to instanceof Date ? (await firstSince(jsm, stream, request.to)) - 1 : request.to;
    const to = kept?.to ?? Math.min(asTo ?? found.last_seq, found.last_seq);
    let matched = kept?.matched ?? 0;
    let [first, last]: [ReplayedEvent | null, ReplayedEvent | null] = [null, null];
    const sample: ReplayedEvent[] = [];
    let batch: Promise<void>[] = [];
    let batchBytes = 0;
    const save = async (next: number): Promise<void> => {
      await Promise.all(batch);
      batch = [];
      batchBytes = 0;
      if (dry) return;
      // Behind the acknowledgements: killed before, those are stored again under the same ids, which the bus drops.
      const now = await state.get(key);
      const progress = { ...(now?.value as Progress | undefined), [stream]: { next, to, matched } };
      await state.put(key, progress, now?.revision ?? 0);
    };
    // Where it ends is on record before anything is handed out: what comes meanwhile is not of it, also when it goes on later.
    if (kept === undefined) await save(from);
    for await (const message of messagesOf(filters, stream, from, to)) {
      const stored = storedIn(message);
      if (await wanted(stored)) {
        const event = {
          stream,
          sequence: message.seq,
          id: stored.header("ce-id"),
          subject: message.subject,
          at: message.time.toISOString(),
        };
        first ??= event;
        last = event;
        if (sample.length < SAMPLE) sample.push(event);
        matched++;
        if (!dry) {
          const { subject, data } = message;
          const { sequence } = event;
          const later = {
            automation,
            stream,
            sequence,
            subject,
            headers: stored.headers(),
            data,
            run,
            attempts: 0,
            dueAt: Date.now(),
          };
          batch.push(asked("hand out an event once more", () => retries.store(later).then(() => {})));
          batch.at(-1)?.catch(() => {}); // it is awaited with the others
          batchBytes += data.length;
        }
      }
      onProgress({ done: message.seq - from + 1, total: to - from + 1, waiting: 0 });
      if (batch.length < BATCH && batchBytes < BATCH_BYTES) continue;
      await save(message.seq + 1);
      for (let behind = await waiting(automation); behind > MOST_WAITING; behind = await waiting(automation)) {
        onProgress({ done: message.seq - from + 1, total: to - from + 1, waiting: behind });
        await realClock.sleep(LOOK_MS, signal);
        signal.throwIfAborted();
      }
    }
    await save(to + 1);
    const next = kept?.next ?? (typeof request.from === "number" ? request.from : undefined);
    const left =
      next !== undefined && next <= to && next < found.first_seq
        ? `#${next} to #${found.first_seq - 1} have left it`
        : kept === undefined && request.from instanceof Date && request.from.getTime() < firstMs && found.first_seq > 1
          ? `what was stored before ${new Date(firstMs).toISOString()} has left it`
          : null;
    return { stream, from, to, matched, first, last, sample, left };
  };

  async function* messagesOf(
    filters: readonly string[],
    stream: string,
    from: number,
    to: number,
  ): AsyncGenerator<JsMsg> {
    if (to < from) return;
    const consumer = await js.consumers.get(stream, {
      filter_subjects: [...filters],
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: from,
    });
    if ((await consumer.info()).num_pending === 0) return;
    const messages = await consumer.consume({ max_messages: AHEAD });
    const stop = (): void => messages.stop();
    signal.addEventListener("abort", stop);
    try {
      for await (const message of messages) {
        if (message.seq > to) return;
        yield message;
        if (message.seq === to || message.info.pending === 0) return;
      }
      signal.throwIfAborted();
    } finally {
      signal.removeEventListener("abort", stop);
      messages.stop();
    }
  }

  return {
    schemas,
    replay: (request) =>
      asked(`read what ${request.automation} is to have once more`, async () => {
        const key = `replay.${request.automation}.${request.run}`;
        if (request.begun === true && (await state.get(key)) === undefined) throw notUnderWay(request);
        const done: StreamReplay[] = [];
        for (const stream of request.streams) {
          const there = await orNothing(jsm.streams.info(stream.stream), apiCodes.streamNotFound);
          if (there !== undefined) done.push(await one(request, stream));
        }
        if (!request.dry) await state.delete(key);
        return done;
      }),
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}

function notUnderWay({ automation, run }: ReplayRequest): ConfigError {
  return new ConfigError("REPLAY_RUN", `${automation} has no run ${run} that was interrupted`, {
    hint: "it came to its end, or was interrupted before it handed out anything: then begin anew without --run",
  });
}

function storedIn(message: JsMsg): StoredMessage & { headers(): Readonly<Record<string, string>> } {
  const lines = message.headers;
  return {
    subject: message.subject,
    sequence: message.seq,
    data: message.data,
    header: (name) => (lines?.has(name) ? lines.get(name) : undefined),
    headers: () =>
      Object.fromEntries((lines?.keys() ?? []).map((name) => [name, lines?.values(name).join(", ") ?? ""])),
  };
}
