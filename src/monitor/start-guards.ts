// A guard for each source of this worker, before there is a bus; and the way to the bus for what they see.

import type { Registry } from "prom-client";
import type { Bus } from "../bus/bus.ts";
import type { Clock } from "../clock.ts";
import { MillraceError, toError } from "../errors.ts";
import type { Positions } from "../event/positions.ts";
import type { SourceId } from "../event/source-id.ts";
import { systemEvent } from "../event/system-event.ts";
import type { RetentionMetric, RetentionProbe } from "../source/retention.ts";
import type { Logger } from "../telemetry/logger.ts";
import { sampled } from "../telemetry/sampled.ts";
import { Guard, type GuardEvent } from "./guard.ts";
import type { GuardStatus } from "./status.ts";

/** For tests: how often the guard looks. */
export interface GuardTiming {
  readonly guardEveryMs: number;
}

export interface GuardsOptions {
  readonly watches: readonly { readonly id: SourceId; readonly kind: string; readonly watch: RetentionProbe }[];
  readonly everyMs: number;
  /** As `bus.fsync`. */
  readonly fsync: "always" | number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: Registry;
  readonly signal: AbortSignal;
}

/** What a guard must know of the reader beside it. */
export interface WatchedSource {
  readonly id: SourceId;
  /** Whether what the database keeps by its name is its own. */
  readonly ownsLog: boolean;
  /** What was acknowledged to the database last. */
  readonly through: Positions | undefined;
}

export interface Guards {
  /** From now on what was seen, and what will be, is told to this bus; and a source's log may be dropped if it is its own. */
  begin(worker: { readonly bus: Bus; readonly sources: readonly WatchedSource[] }): void;
  /** Undefined before the first look. */
  status(source: SourceId): GuardStatus | undefined;
  /** Aborts, with the error to stop by, when the source's log is full and it shall stop then. */
  full(source: SourceId): AbortSignal;
  /** Resolves after the signal; never rejects. Close the bus only then. */
  readonly ended: Promise<void>;
}

export function startGuards(options: GuardsOptions): Guards {
  const { watches, everyMs, fsync, clock, log, registry, signal } = options;
  const announcer = new Announcer(log);
  let worker: Parameters<Guards["begin"]>[0] | undefined;
  const stops = new Map(watches.map(({ id }) => [id, new AbortController()]));
  const readerOf = (source: SourceId): WatchedSource | undefined => worker?.sources.find(({ id }) => id === source);
  const guards = watches.map(({ id: source, kind, watch }) => {
    return new Guard({
      source,
      kind,
      watch,
      everyMs,
      // What is stored is acknowledged only past twice the bus's sync interval.
      heldByBusSeconds: fsync === "always" ? 0 : (2 * fsync) / 1000,
      clock,
      log,
      owned: () => readerOf(source)?.ownsLog ?? false,
      through: () => readerOf(source)?.through,
      onCrossing: (event) => announcer.put(source, event),
      onStop: (reason) => stops.get(source)?.abort(reason),
      signal,
    });
  });
  registerGuardGauges(registry, guards);
  return {
    begin: (begun) => {
      worker = begun;
    },
    status: (source) => guards.find((guard) => guard.source === source && guard.looked)?.status,
    full: (source) => (stops.get(source) ?? new AbortController()).signal,
    ended: Promise.all([...guards.map((guard) => guard.ended), telling()]).then(() => undefined),
  };

  async function telling(): Promise<void> {
    while (!signal.aborted) {
      if (worker !== undefined) await announcer.tell(worker.bus);
      await clock.sleep(everyMs, signal);
    }
  }
}

/** Of a guard. */
type Seen = Pick<Guard, "source" | "kind" | "metrics" | "hold" | "exceeded" | "sees">;

/** Adds `millrace_guard_exceeded` and what it is about. What cannot be had now has no value. */
export function registerGuardGauges(registry: Registry, guards: readonly Seen[]): void {
  const metrics = guards.flatMap((guard) => guard.metrics.filter(({ unit }) => unit !== undefined));
  // Sources of two kinds may measure the same.
  for (const [name, { name: measure, help }] of new Map(metrics.map((metric) => [gaugeName(metric), metric]))) {
    sampled(registry, { name, help, labelNames: ["source", "kind"] }, () =>
      guards.flatMap(({ source, kind, hold }) => {
        const now = hold?.[measure];
        return now === undefined ? [] : [[{ source, kind }, now] as const];
      }),
    );
  }
  const exceeded = "1 while a measure of the source's log is beyond its limit, or its log is lost.";
  const labelNames = ["source", "kind", "measure"];
  sampled(registry, { name: "millrace_guard_exceeded", help: exceeded, labelNames }, () =>
    guards.flatMap(({ source, kind, exceeded, metrics }) =>
      metrics.map(({ name: measure }) => [{ source, kind, measure }, exceeded.has(measure) ? 1 : 0] as const),
    ),
  );
  const sees = "1 when the guard's last look at the source's log was answered.";
  sampled(registry, { name: "millrace_guard_sees", help: sees, labelNames: ["source", "kind"] }, () =>
    guards.map(({ source, kind, sees }) => [{ source, kind }, sees ? 1 : 0]),
  );
}

/** `millrace_guard_retained_bytes`, whether the name has the unit already or not. */
function gaugeName({ name, unit }: RetentionMetric): string {
  const words = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return `millrace_guard_${words.endsWith(`_${unit}`) ? words : `${words}_${unit}`}`;
}

/** What was told last of a source's measure, in `millrace_state`. */
interface AnnouncedState {
  /** Counts what was told: it makes the event's id. */
  readonly n: number;
  readonly state: GuardEvent["state"];
}

type AnnouncerBus = Pick<Bus, "publish" | "state" | "connected">;

/** Only the newest of each measure waits: what came between is over. */
class Announcer {
  readonly #log: Logger;
  readonly #waiting = new Map<string, { readonly source: SourceId; readonly event: GuardEvent }>();
  #telling = false;
  #said: string | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** How many wait for the bus. */
  get waiting(): number {
    return this.#waiting.size;
  }

  put(source: SourceId, event: GuardEvent): void {
    this.#waiting.set(`guard.${source}.${event.measure}${event.state === "full" ? ".full" : ""}`, { source, event });
  }

  /** Tells what waits, if the bus is there; what fails waits for the next time. Never rejects. */
  async tell(bus: AnnouncerBus): Promise<void> {
    if (this.#telling || !bus.connected()) return;
    this.#telling = true;
    try {
      for (const [key, waiting] of this.#waiting) {
        await tellOnce(bus, key, waiting);
        if (this.#waiting.get(key) === waiting) this.#waiting.delete(key);
      }
      this.#said = undefined;
    } catch (thrown) {
      const error = toError(thrown);
      const { code, hint } = error instanceof MillraceError ? error : { code: "UNEXPECTED", hint: undefined };
      if (code !== this.#said) this.#log.warn("guard_mute", { code, hint }, error.message);
      this.#said = code;
    } finally {
      this.#telling = false;
    }
  }
}

/** First the event, then the note: killed between the two, the same id is told again, and the bus drops it. */
async function tellOnce(
  bus: AnnouncerBus,
  key: string,
  { source, event }: { readonly source: SourceId; readonly event: GuardEvent },
): Promise<void> {
  for (;;) {
    const entry = await bus.state.get(key);
    const told = (entry?.value as AnnouncedState | undefined) ?? { n: 0, state: "recovered" };
    if (told.state === event.state && event.state !== "full") return; // another worker, or this one before a restart
    const { measure, state: name, value = null, limit } = event;
    const n = told.n + 1;
    const data = { source, measure, state: name, value, limit, ...("action" in event ? { action: event.action } : {}) };
    await bus.publish(systemEvent("lag", name, `${source}.${measure}.${name}.${n}`, data));
    if ((await bus.state.put(key, { n, state: name } satisfies AnnouncedState, entry?.revision ?? 0)) !== undefined)
      return;
  }
}
