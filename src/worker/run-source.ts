// Supervises one source: lease, reader, pump, checkpoints; decides by the class of an error what happens next.

import type { RecordedGap, SourceStream, Writer } from "../bus/bus.ts";
import { ConfigError, FencedError, MillraceError, TransientError, toError } from "../errors.ts";
import type { SourceId } from "../event/source-id.ts";
import type { SchemaBook, Source, SourceContext, SourceLag } from "../source/source.ts";
import type { Logger } from "../telemetry/logger.ts";
import { Backoff, pause } from "./backoff.ts";
import { type CheckpointCounts, keepCheckpoints } from "./checkpoint.ts";
import type { PoisonPlaces } from "./poison.ts";
import type { Probe } from "./probe.ts";
import { type PumpCounts, pump } from "./pump.ts";
import { tendSource } from "./tend-source.ts";

export type SourceState = "waiting-for-lease" | "starting" | "running" | "retrying" | "stopped";

export interface RunSourceOptions {
  readonly id: SourceId;
  readonly stream: SourceStream;
  /** Of an event's body; see the option `bus.maxEventBytes`. */
  readonly maxEventBytes: number;
  /** A connector with its configuration. */
  readonly preflight: (context: SourceContext) => Promise<void>;
  readonly open: (context: SourceContext, schemas: SchemaBook) => Promise<Source>;
  /** The book of versions, for who holds this lease. */
  readonly schemas: (lease: number) => SchemaBook;
  readonly deadLetter: PoisonPlaces["deadLetter"];
  readonly onGap: SourceContext["onGap"];
  readonly lineageKey: SourceContext["lineageKey"];
  readonly adopt: boolean;
  readonly counts: PumpCounts & CheckpointCounts;
  readonly onState: (state: SourceState, reason?: Error) => void;
  /** Writer and reader while there are any, for status. */
  readonly onParts: (parts: { readonly writer: Writer; readonly reader?: Source } | undefined) => void;
  /** The newest gap that the stream has on record, whoever went on behind it. */
  readonly onRecordedGap: (gap: RecordedGap) => void;
  /** While it runs; undefined where it cannot be had. */
  readonly onLag: (lag: SourceLag | undefined) => void;
  readonly probe: Probe;
  readonly log: Logger;
  readonly saveEveryMs: number;
  readonly lagEveryMs: number;
  /** Ends it: what is read already is published, then all is given back. With an error of ours as its reason, by that error. */
  readonly signal: AbortSignal;
}

/** An attempt that ran this long starts the backoff anew. */
const STEADY_MS = 10_000;
const FLUSH_MS = 5000;

/**
 * Runs until the signal. Transient errors, and a lost lease, are tried again for ever; so is a wrong set-up once it has
 * worked in this process.
 * @throws ConfigError at the first start, HistoryLostError, BugError and whatever else nobody can go on from
 */
export async function runSource(options: RunSourceOptions): Promise<void> {
  const { id, onState, log, signal } = options;
  const backoff = new Backoff();
  let worked = false;
  let said: string | undefined;
  const context = contextOf(options);
  while (!signal.aborted) {
    let runningSinceMs: number | undefined;
    try {
      await attempt(options, context, () => {
        worked = true;
        said = undefined;
        runningSinceMs = performance.now();
      });
    } catch (thrown) {
      if (signal.aborted) break;
      const error = toError(thrown);
      const again =
        error instanceof TransientError || error instanceof FencedError || (error instanceof ConfigError && worked);
      onState(again ? "retrying" : "stopped", error);
      if (!again) throw error;
      if (runningSinceMs !== undefined && performance.now() - runningSinceMs > STEADY_MS) backoff.reset();
      const delayMs = backoff.next();
      if (error instanceof FencedError) log.warn("lease_lost", { source: id, code: error.code }, error.message);
      // Once for each reason; status and readiness show it all the time.
      else
        log[said === error.code ? "debug" : "warn"](
          "source_retrying",
          { source: id, code: error.code, hint: error.hint, delayMs },
          error.message,
        );
      said = error.code;
      await pause(delayMs, signal);
    }
  }
  const why: unknown = signal.reason;
  onState("stopped", why instanceof MillraceError ? why : undefined);
  if (why instanceof MillraceError) throw why;
}

function contextOf({ stream, log, adopt: asked, onGap, lineageKey }: RunSourceOptions): SourceContext {
  let adopt = asked;
  return {
    memory: { load: () => stream.loadMemory(), save: (value) => stream.saveMemory(value) },
    log,
    onGap,
    newestGap: () => stream.newestGap(),
    lineageKey,
    get adopt() {
      return adopt;
    },
    onAdopted: () => {
      adopt = false;
    },
  };
}

async function attempt(options: RunSourceOptions, context: SourceContext, onRunning: () => void): Promise<void> {
  const { id, stream, counts, onState, probe, log, signal } = options;
  // Before the lease: a set-up that is refused, or a database that is away, leaves no trace on the bus.
  await options.preflight(context);
  const writer = await stream.openWriter(signal, {
    waiting: (lease) =>
      onState(
        "waiting-for-lease",
        new FencedError("LEASE_ELSEWHERE", `another worker reads this source (lease ${lease})`, {
          hint: "Nothing to do: this worker stands by, and takes over when that one ends.",
        }),
      ),
    readingBack: (what) =>
      onState(
        "starting",
        new TransientError("STREAM_READ_BACK", what, {
          hint: "Nothing to do: ten to twenty seconds at most for each 100,000. With bus.fsync as true and as short as the server allows there are fewer.",
        }),
      ),
  });
  options.onParts({ writer });
  const ended = new AbortController();
  const stop = AbortSignal.any([signal, ended.signal]);
  let reader: Source | undefined;
  let tasks: Promise<unknown>[] = [];
  let tending: Promise<void> | undefined;
  let sourceFailed = false;
  try {
    onState("starting");
    const gap = await stream.recordedGap();
    if (gap !== undefined) options.onRecordedGap(gap);
    reader = await options.open(context, options.schemas(writer.lease));
    log.info("source_started", { source: id, lease: writer.lease, from: writer.resume });
    options.onParts({ writer, reader });
    onRunning();
    tending = tendSource({ reader, everyMs: options.lagEveryMs, onLag: options.onLag, signal: stop });
    tasks = [
      pump({
        ...options,
        source: id,
        reader,
        writer,
        from: writer.resume,
        onStarted: () => onState("running"),
        signal: stop,
      }).catch((error: unknown) => {
        sourceFailed = true;
        throw error;
      }),
      keepCheckpoints({ reader, writer, counts, probe, untilNextSave: () => pause(options.saveEveryMs, stop) }),
    ];
    // Who is held up by a bus that is away does not hear the signal.
    await Promise.race([...tasks, tending, writer.failed, aborted(stop)]);
  } finally {
    ended.abort();
    // What was read is published: where the source's history is lost it cannot be read again.
    if (signal.aborted || sourceFailed) await writer.flush(FLUSH_MS);
    options.onParts(undefined);
    await reader?.[Symbol.asyncDispose]();
    await writer[Symbol.asyncDispose](); // last: whoever takes the lease finds the source free
    await Promise.allSettled([...tasks, tending]);
    log.info("source_stopped", { source: id });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
