// Supervises one source: lease, reader, pump, checkpoints; decides by the class of an error what happens next.

import { Backfill } from "../backfill/backfill.ts";
import { DueCopies } from "../backfill/due-copies.ts";
import type { Orders } from "../backfill/order.ts";
import { owedSince } from "../backfill/owed-since.ts";
import type { SourceStream } from "../bus/source-stream.ts";
import type { StateStore } from "../bus/state-store.ts";
import { backoffMs, type Clock } from "../clock.ts";
import { ConfigError, FencedError, MillraceError, TransientError, toError } from "../errors.ts";
import { loggedPositions, type Positions, plainPositions } from "../event/positions.ts";
import { streamName } from "../event/source-id.ts";
import type { SourceGap } from "../event/system-event.ts";
import { SchemaBook } from "../schema/schema-book.ts";
import type { OnGap, Source, SourceContext, ToldSchemas } from "../source/source.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import { keepCheckpoints } from "./checkpoint.ts";
import { lossPolicy, startOver } from "./loss-policy.ts";
import { mergeProducer } from "./merge-producers.ts";
import type { PoisonPlaces } from "./poison.ts";
import type { Probe } from "./probe.ts";
import { pump } from "./pump.ts";
import type { SourceTracker } from "./source-status.ts";
import { GapTeller, type PartOf } from "./tell-gaps.ts";
import { tendSource } from "./tend-source.ts";

export interface SuperviseSourceOptions {
  /** Hears all that becomes of the source. */
  readonly tracker: SourceTracker;
  readonly stream: SourceStream;
  /** Of an event's body; see the option `bus.maxEventBytes`. */
  readonly maxEventBytes: number;
  /** A connector with its configuration. */
  readonly preflight: (context: SourceContext) => Promise<void>;
  readonly open: (context: SourceContext, schemas: ToldSchemas) => Promise<Source>;
  /** Where versions of collections are kept. */
  readonly schemas: StateStore;
  /** What is asked of the copy of existing rows. */
  readonly backfillOrders: Orders;
  readonly deadLetter: PoisonPlaces["deadLetter"];
  /** Tells the other side of the bus of a gap, durably. */
  readonly announceGap: (gap: SourceGap) => Promise<void>;
  readonly lineageKey: SourceContext["lineageKey"];
  readonly adopt: boolean;
  readonly onGap: OnGap;
  readonly probe: Probe;
  /** Undefined where nobody records spans. */
  readonly tracing?: Tracing | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly saveEveryMs: number;
  readonly lagEveryMs: number;
  /** Ends it: what is read already is published, then all is given back. With an error of ours as its reason, by that error. */
  readonly signal: AbortSignal;
}

/** An attempt that ran this long starts the backoff anew. */
const STEADY_MS = 10_000;
const FLUSH_MS = 5000;
const AGAIN = { minMs: 250, maxMs: 30_000 };

/**
 * Runs until the signal. Transient errors, and a lost lease, are tried again for ever; so is a wrong set-up once it has
 * worked in this process.
 * @throws ConfigError at the first start, HistoryLostError, BugError and whatever else nobody can go on from
 */
export async function superviseSource(options: SuperviseSourceOptions): Promise<void> {
  const { tracker, clock, log, signal } = options;
  const source = tracker.id;
  let failures = 0;
  let worked = false;
  let said: string | undefined;
  const context = contextOf(options);
  tracker.enter("starting");
  while (!signal.aborted) {
    let runningSinceMs: number | undefined;
    try {
      await attempt(options, context, () => {
        worked = true;
        said = undefined;
        runningSinceMs = clock.now();
      });
    } catch (thrown) {
      if (signal.aborted) break;
      const error = toError(thrown);
      const again =
        error instanceof TransientError || error instanceof FencedError || (error instanceof ConfigError && worked);
      tracker.enter(again ? "retrying" : "stopped", error);
      if (!again) throw error;
      if (runningSinceMs !== undefined && clock.now() - runningSinceMs > STEADY_MS) failures = 0;
      const delayMs = Math.round(backoffMs(AGAIN, ++failures));
      if (error instanceof FencedError) log.warn("lease_lost", { source, code: error.code }, error.message);
      // Once for each reason; status and readiness show it all the time.
      else
        log[said === error.code ? "debug" : "warn"](
          "source_retrying",
          { source, code: error.code, hint: error.hint, delayMs },
          error.message,
        );
      said = error.code;
      await clock.sleep(delayMs, signal);
    }
  }
  const why: unknown = signal.reason;
  tracker.enter("stopped", why instanceof MillraceError ? why : undefined);
  if (why instanceof MillraceError) throw why;
}

function contextOf({ tracker, stream, log, adopt, onGap, lineageKey }: SuperviseSourceOptions): SourceContext {
  const memory = {
    load: () => stream.loadMemory(),
    save: (value: Readonly<Record<string, unknown>>) => stream.saveMemory(value),
  };
  return { memory, log, lineageKey, ...lossPolicy(adopt, onGap), count: (what) => tracker.counted(what) };
}

async function attempt(options: SuperviseSourceOptions, context: SourceContext, onRunning: () => void): Promise<void> {
  const { tracker, stream, maxEventBytes, deadLetter, probe, clock, log, signal } = options;
  const source = tracker.id;
  // Before the lease: a set-up that is refused, or a database that is away, leaves no trace on the bus.
  await options.preflight(context);
  const writer = await stream.openWriter(signal, {
    waiting: (lease) =>
      tracker.enter(
        "waiting-for-lease",
        new FencedError("LEASE_ELSEWHERE", `another worker reads this source (lease ${lease})`, {
          hint: "Nothing to do: this worker stands by, and takes over when that one ends.",
        }),
      ),
    readingBack: (what) =>
      tracker.enter(
        "starting",
        new TransientError("STREAM_READ_BACK", what, {
          hint: "Nothing to do: ten to twenty seconds at most for each 100,000. With bus.fsync as true and as short as the server allows there are fewer.",
        }),
      ),
    stored: (messages) => {
      probe("after-publish");
      tracker.stored(messages);
      options.tracing?.stored(source, streamName(source), messages);
    },
    recovered: () => tracker.recovered(),
  });
  tracker.opened(writer);
  const ended = new AbortController();
  const stop = AbortSignal.any([signal, ended.signal]);
  let reader: Source | undefined;
  let tasks: Promise<unknown>[] = [];
  let sourceFailed = false;
  try {
    tracker.enter("starting");
    const gap = await stream.recordedGap();
    if (gap !== undefined) tracker.gapOnRecord(gap);
    const schemas = new SchemaBook({ source, store: options.schemas, lease: writer.lease });
    const opened = await options.open(context, schemas);
    reader = opened;
    const { resume: from } = writer;
    const { copier } = opened;
    const due = copier && new DueCopies({ copier, orders: options.backfillOrders, clock });
    const onGap = async (gap: SourceGap, of: PartOf): Promise<void> => {
      await options.announceGap(gap);
      if (options.onGap === "backfill") await due?.repair({ ...gap, ...of }, writer.progress);
      tracker.wentOn(gap);
    };
    const gaps = new GapTeller({ source, reader: opened, from, stream, onGap, log });
    const acknowledge = async (positions: Positions): Promise<void> => {
      schemas.acknowledged(positions);
      await gaps.acknowledged(positions);
      await opened.acknowledge(positions);
    };
    log.info("source_started", { source, lease: writer.lease, from: from && loggedPositions(plainPositions(from)) });
    tracker.opened(writer, opened);
    onRunning();
    const parts = {
      source,
      reader: opened,
      onReadingEnded: (thrown: unknown) => startOver(opened, context, thrown),
      writer,
      stream,
      maxEventBytes,
      deadLetter,
      counts: tracker,
      probe,
      log,
      signal: stop,
    };
    const { maxMessageBytes } = stream;
    const order = due && tracker.copy.heard((stored) => due.order(stored));
    const { progress, progressSeq: seq } = writer;
    const since = order && (await owedSince(progress, (what) => stream.changesBehind({ ...what, seq })));
    const backfill = order && new Backfill({ source, copier, order, clock, log, maxMessageBytes }, progress, since);
    tasks = [
      tendSource({
        reader: opened,
        everyMs: options.lagEveryMs,
        onLag: (lag) => tracker.lagged(lag),
        clock,
        signal: stop,
      }),
      pump({
        ...{ ...parts, schemas, gaps, from, onStarted: () => tracker.started() },
        ...(backfill && { reader: shownTo(backfill, opened) }),
      }).catch((error: unknown) => {
        sourceFailed = true;
        throw error;
      }),
      keepCheckpoints({
        ...parts,
        reader: { acknowledge },
        untilCopyKnows: backfill && (() => backfill.untilOwedStored(stop)),
        untilNextSave: () => clock.sleep(options.saveEveryMs, stop),
      }),
      ...(backfill ? [mergeProducer({ ...parts, schemas, producer: tracker.copy.watched(backfill) })] : []),
    ];
    // Who is held up by a bus that is away does not hear the signal.
    await Promise.race([...tasks, writer.failed, aborted(stop)]);
  } finally {
    ended.abort();
    // What was read is published: where the source's history is lost it cannot be read again.
    if (signal.aborted || sourceFailed) await writer.flush(FLUSH_MS);
    tracker.closed();
    await reader?.[Symbol.asyncDispose]();
    await writer[Symbol.asyncDispose](); // last: whoever takes the lease finds the source free
    await Promise.allSettled(tasks);
    log.info("source_stopped", { source });
  }
}

/** A slice that is held must know what is handed out before the writer does. */
function shownTo(backfill: Backfill, reader: Source): Pick<Source, "id" | "read"> {
  return {
    id: reader.id,
    async *read(options) {
      for await (const messages of reader.read(options)) {
        backfill.handedOut(messages);
        yield messages;
      }
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
