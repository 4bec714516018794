// Puts the worker together.

import type { Automation } from "./automation/define/automation.ts";
import { waitingStatus } from "./automation/run/automation-status.ts";
import { refuseFirst } from "./automation/run/refusal.ts";
import { type RunningAutomations, refuseUnfit, runAutomations } from "./automation/run/run-automations.ts";
import { TxDatabases } from "./automation/run/tx-databases.ts";
import { ordersOf } from "./backfill/order.ts";
import type { Bus } from "./bus/bus.ts";
import { type BusTiming, openJetStreamBus } from "./bus/jetstream/jetstream-bus.ts";
import { keptLineageKey, lineageKey } from "./bus/lineage-key.ts";
import { realClock, within } from "./clock.ts";
import { chosen } from "./config/chosen.ts";
import { refuseOpenHttp } from "./config/http.ts";
import { receivesAny, refuseIdle, resolveConfig } from "./config/resolve.ts";
import type { Config } from "./config/schema.ts";
import {
  connectorOf,
  connectors,
  declaredColumns,
  outboxesOf,
  rowRefusals,
  triggerConfigOf,
  warnOfColumns,
} from "./connectors.ts";
import { type OpenEndpoints, openEndpoints } from "./egress/open-endpoints.ts";
import { gapEvent } from "./event/system-event.ts";
import { startIngress } from "./ingress/ingress.ts";
import type { Listener } from "./ingress/listen.ts";
import { ingressPlan, receiverCounts } from "./ingress/plan.ts";
import { type HttpServer, startHttp } from "./monitor/http.ts";
import { withReadiness } from "./monitor/readiness.ts";
import { type Guards, type GuardTiming, startGuards } from "./monitor/start-guards.ts";
import type { Status } from "./monitor/status.ts";
import { queueDepths } from "./monitor/status-gauges.ts";
import { atLevel, type Logger, silentLogger } from "./telemetry/logger.ts";
import { createMetrics } from "./telemetry/metrics.ts";
import { openTracing } from "./telemetry/tracing.ts";
import { version } from "./version.ts";
import { fatalEnd } from "./worker/fatal-end.ts";
import { admitOwn } from "./worker/own-streams.ts";
import { noProbe, type Probe } from "./worker/probe.ts";
import { SourceTracker } from "./worker/source-status.ts";
import { superviseSource } from "./worker/supervise-source.ts";

export interface WorkerOptions {
  /** Ids of the sources to read; undefined means all. */
  readonly sources?: readonly string[] | undefined;
  /** Ids of the automations to run; undefined means all, an empty list none. */
  readonly automations?: readonly string[] | undefined;
  /**
   * Accept, once for each source, that history was lost or that its slot is not on record, and once for each automation,
   * that events left the stream before it got them: go on, and record the gap.
   */
  readonly adopt?: boolean;
  /** Silent by default. */
  readonly log?: Logger;
  /** Ends the start while a server is waited for; later `stop()` does. */
  readonly signal?: AbortSignal;
  /** Whether to log all that is known of what handlers throw, for who writes them. Default: no; `millrace dev` does. */
  readonly wholeErrors?: boolean;
  /** Whether to listen on the configured HTTP address. Default: no; the command does. */
  readonly http?: boolean;
  /** For tests: where to kill the process, and shorter times. */
  readonly probe?: Probe;
  readonly timing?: Partial<BusTiming & GuardTiming & { readonly lagEveryMs: number }>;
}

export interface Worker {
  status(): Status;
  /** Drains: handlers end, what was read is published. */
  stop(): Promise<void>;
  /** Rejects with what ended the worker: a ConfigError at the start of a source, or history lost with no other source left. */
  readonly finished: Promise<void>;
}

const SAVE_EVERY_MS = 1000;
/** Also how often a heartbeat is sent. */
const LAG_EVERY_MS = 15_000;
const GUARD_EVERY_MS = 10_000;
/** What a collector of spans gets at the end, before the worker leaves without it. */
const FLUSH_SPANS_MS = 2000;
const clock = realClock;

/**
 * Runs sources and automations, inside an application as well as for `millrace run`.
 * @throws ConfigError when the configuration or the bus cannot serve; a bus that is only away is waited for
 */
export async function startWorker(input: Config | unknown, options: WorkerOptions = {}): Promise<Worker> {
  const { adopt = false, probe = noProbe } = options;
  const config = resolveConfig(input, connectors);
  const log = atLevel(options.log ?? silentLogger, config.log.level ?? "debug");
  if (options.http) refuseOpenHttp(config.http);
  refuseIdle(config);
  const sources = chosen([...config.sources], ([id]) => id, options.sources, "source");
  const automations = chosen(config.automations as Automation[], ({ id }) => id, options.automations, "automation");
  const outboxes = outboxesOf(config);
  const triggerConfig = triggerConfigOf(config);
  refuseUnfit(automations, triggerConfig);
  const plan = ingressPlan(config.received);
  const received = receivesAny(config.received);
  const databases = new TxDatabases({
    automations,
    fallback: config.defaults.db,
    homes: [...outboxes.values()],
    clock,
    ...triggerConfig,
    madeToKeepMs: config.bus.retention.ageMs,
    lineageKey: keptLineageKey(() => begun?.bus.state),
  });
  const declared = declaredColumns(config);
  const stopping = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stopping.signal]) : stopping.signal;
  const metrics = createMetrics();
  const tracing = await openTracing(version);
  const trackers = sources.map(
    ([id, { kind }]) => new SourceTracker({ id, kind, counts: metrics.source(id), clock, log }),
  );
  const startedAt = new Date().toISOString();
  let http: HttpServer | undefined;
  let ingress: Listener | undefined;
  let guarding: Guards | undefined;
  let begun: Begun | undefined;
  let reached: OpenEndpoints | undefined;

  const status = (): Status => {
    const trouble = begun?.bus.trouble();
    return withReadiness({
      version,
      startedAt,
      bus: {
        connected: begun?.bus.connected() ?? false,
        fsync: config.bus.fsync,
        trouble: trouble && { code: trouble.code, message: trouble.message },
      },
      sources: trackers.map((tracker) => ({ ...tracker.status(), guard: guarding?.status(tracker.id) })),
      ingress: received ? { url: ingress?.url, receivers: receiverCounts(plan, metrics.ingress) } : undefined,
      automations: (begun?.running.status() ?? automations.map(waitingStatus)).map(({ held: _, ...automation }) => ({
        ...automation,
        ...metrics.automations.counts(automation.id),
      })),
      ...(reached !== undefined && config.endpoints.size > 0 && { endpoints: reached.status() }),
    });
  };
  const end = once(async () => {
    stopping.abort();
    const { ended = [], running, pruning, bus } = begun ?? {};
    const shut = ingress?.close();
    ingress = undefined;
    await Promise.allSettled([...ended, running?.settled, guarding?.ended, pruning, shut]);
    await reached?.close();
    await http?.[Symbol.asyncDispose]();
    await bus?.[Symbol.asyncDispose]();
    if (tracing) await within(clock, FLUSH_SPANS_MS, tracing.flush());
  });
  const begin = (bus: Bus, guards: Guards): Begun => {
    const ended = sources.map(([id, source], nth) => {
      const connector = connectorOf(source);
      return superviseSource({
        tracker: trackers[nth] as SourceTracker,
        stream: bus.stream(id),
        maxEventBytes: config.bus.maxEventBytes,
        preflight: (context) => connector.preflight(id, source.config.reveal(), context),
        open: (context, schemas) => connector.open(id, source.config.reveal(), context, schemas),
        schemas: bus.schemas,
        backfillOrders: ordersOf(bus.state, id),
        deadLetter: bus.deadLetter.bind(bus),
        announceGap: (gap) => bus.publish(gapEvent(id, gap)),
        lineageKey: () => lineageKey(bus.state),
        adopt,
        onGap: connector.onGap(source.config.reveal()),
        tracing,
        probe,
        clock,
        log,
        saveEveryMs: SAVE_EVERY_MS,
        lagEveryMs: options.timing?.lagEveryMs ?? LAG_EVERY_MS,
        signal: AbortSignal.any([stopping.signal, guards.full(id)]),
      });
    });
    for (const end of ended) end.catch(() => {}); // whoever waits for the worker's end hears of it
    guards.begin({ bus, sources: trackers });
    const own = admitOwn(
      bus,
      config.sources,
      (id, source, memory) => connectorOf(source).recognise(id, source.config.reveal(), memory),
      clock,
    );
    reached = openEndpoints({
      ...{ endpoints: config.endpoints, bus, clock, log, registry: metrics.registry, signal: stopping.signal },
    });
    const running = runAutomations({
      bus,
      reach: reached,
      admit: async (source, end, automation) => {
        await own(source, end);
        if (!end.aborted) await declared.check(automation, source);
      },
      automations,
      databases,
      ...triggerConfig,
      maxHops: config.defaults.maxHops,
      log,
      logEvents: config.log.events,
      logErrors: options.wholeErrors ? "whole" : config.log.messages ? "message" : "name",
      metrics: metrics.automations,
      tracing,
      clock,
      adopt,
      signal: stopping.signal,
    });
    return { bus, ended, running, pruning: databases.pruneRegularly(bus, log, stopping.signal) };
  };

  try {
    // First of all: whoever watches the worker shall see what it waits for.
    if (options.http) {
      http = await startHttp({
        ...config.http,
        token: config.http.token?.reveal(),
        status,
        registry: metrics.registry,
        queueDepth: async () => (begun === undefined ? new Map() : queueDepths(begun.bus, begun.running, automations)),
        log,
      });
    }
    if (received) {
      ingress = await startIngress({
        section: config.received.ingress,
        plan,
        bus: () => begun?.bus,
        metrics: metrics.ingress,
        clock,
        log,
      });
    }
    await databases.check(log);
    refuseFirst(await rowRefusals(config, automations, declared), log);
    void warnOfColumns(config, automations, { log, signal });
    guarding = startGuards({
      watches: sources.map(([id, source]) => ({
        id,
        kind: source.kind,
        watch: connectorOf(source).watch(id, source.config.reveal(), {
          saved: async () => begun?.bus.stream(id).loadMemory(),
        }),
      })),
      everyMs: options.timing?.guardEveryMs ?? GUARD_EVERY_MS,
      fsync: config.bus.fsync,
      clock,
      log,
      registry: metrics.registry,
      signal,
    });
    const bus = await openJetStreamBus({
      ...config.bus,
      ...config.bus.access.reveal(),
      log,
      signal,
      timing: options.timing ?? {},
    });
    begun = begin(bus, guarding);
  } catch (error) {
    await end();
    throw error;
  }
  log.info("worker_started", { version, sources: sources.length, automations: automations.length });
  const finished = fatalEnd(trackers, begun.ended, log);
  finished.catch(() => {}); // whoever embeds the worker may look at its status instead
  return { status, stop: once(() => end().then(() => log.info("worker_stopped", {}))), finished };
}

/** What there is once the bus is. */
interface Begun {
  readonly bus: Bus;
  /** Resolves for each source when it has ended, and rejects with what ended it. */
  readonly ended: readonly Promise<void>[];
  readonly running: RunningAutomations;
  readonly pruning: Promise<void>;
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}
