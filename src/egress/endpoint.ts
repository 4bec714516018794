// One endpoint: whether anything is sent to it now, its turns, and what its answers mean.

import { Fatal, isFatal } from "../automation/outcome/outcome.ts";
import type { Sending } from "../automation/outcome/sending.ts";
import { Waiting } from "../automation/outcome/waiting.ts";
import type { Clock } from "../clock.ts";
import type { Endpoint } from "../config/endpoints-schema.ts";
import { TransientError } from "../errors.ts";
import type { EndpointCounts } from "./endpoint-metrics.ts";
import { AskedLater, Gone, NotTaken, unreachable } from "./failures.ts";
import type { Carried, Carrier } from "./kind/carrier.ts";
import { Lane } from "./send/lane.ts";
import { webhookId } from "./send/sign.ts";
import type { Standing } from "./standing/record.ts";
import type { Standings } from "./standing/standings.ts";

/** One that fails now and then is not paused. */
const FAILURES = 5;
const PROBE_EVERY_MS = 60_000;
/** How soon what waits for one that is paused looks again. */
const LOOK_AGAIN_MS = 2000;
/** The part of an attempt's time that it may wait for its turn; beyond it the event waits, and spends none. */
const PATIENCE_SHARE = 1 / 4;

export interface EndpointParts {
  readonly name: string;
  readonly config: Endpoint;
  readonly carrier: Carrier;
  readonly standings: Standings;
  readonly counts: EndpointCounts;
  readonly clock: Clock;
  /** Names this worker. */
  readonly instance: string;
  /** What to do with an answer that took the message. @throws what the attempt fails by */
  readonly taken: (carried: Carried, sending: Sending, id: string) => Promise<void>;
}

export class OneEndpoint {
  readonly #parts: EndpointParts;
  readonly #lane: Lane;
  #failing: { readonly since: number; count: number } | undefined;
  #probeAt: number = Number.NEGATIVE_INFINITY;

  constructor(parts: EndpointParts) {
    this.#parts = parts;
    const { name, config, clock } = parts;
    this.#lane = new Lane({ endpoint: name, concurrency: config.concurrency, rate: config.rate, clock });
  }

  /** Failures one behind the other, and for how long. */
  get failing(): { readonly count: number; readonly forMs: number } | undefined {
    return this.#failing && { count: this.#failing.count, forMs: this.#parts.clock.now() - this.#failing.since };
  }

  /** Resolves once it was taken. @throws Waiting, Fatal, Retry, or what the attempt fails by */
  async send(sending: Sending): Promise<void> {
    const { standings, config, counts, clock } = this.#parts;
    await standings.known().catch((error: unknown) => {
      if (error instanceof TransientError)
        throw new Waiting("the bus", LOOK_AGAIN_MS, "how it stands is not known yet");
      throw error;
    });
    const probes = this.#mayBegin();
    const leave = await this.#lane.enter(sending.signal, sending.timeoutMs * PATIENCE_SHARE);
    const startedAt = clock.now();
    const id = webhookId(sending);
    let carried: Carried;
    try {
      carried = await this.#carry(sending, id, AbortSignal.any([sending.signal, AbortSignal.timeout(config.timeout)]));
    } catch (error) {
      if (isFatal(error)) throw error; // nothing was sent
      const failure = unreachable(this.#parts.name, error);
      counts.ended("unreachable", clock.now() - startedAt);
      await this.#failed();
      throw probes ? this.#stillAway() : failure;
    } finally {
      leave();
    }
    await this.#judge(carried, sending, { id, probes, tookMs: clock.now() - startedAt });
  }

  /** Whether it is a probe. @throws Fatal, Waiting */
  #mayBegin(): boolean {
    const { name, clock, standings, config } = this.#parts;
    const standing = standings.of(name);
    if (standing === undefined || standing.state === "open") return false;
    if (standing.state === "disabled")
      throw new Fatal(
        `the endpoint ${name} is disabled since ${standing.at}: it answered 410 (millrace endpoints resume ${name})`,
      );
    const now = clock.now();
    if (standing.reason !== "failing" || now < this.#probeAt) throw this.#paused(standing);
    this.#probeAt = now + Math.min(PROBE_EVERY_MS, config.pauseAfter);
    return true;
  }

  #paused({ by, at, reason }: Standing): Waiting {
    const { name } = this.#parts;
    const why = reason === "failing" ? "it failed for long" : `${by} paused it`;
    return new Waiting(`the endpoint ${name}`, LOOK_AGAIN_MS, `the endpoint ${name} is paused since ${at}: ${why}`);
  }

  #stillAway(): Waiting {
    const { name } = this.#parts;
    return new Waiting(`the endpoint ${name}`, LOOK_AGAIN_MS, `the endpoint ${name} is paused: it still fails`);
  }

  #carry({ message, event }: Sending, id: string, signal: AbortSignal): Promise<Carried> {
    const { type, time } = event as { readonly type?: unknown; readonly time?: unknown };
    const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
    return this.#parts.carrier.carry(
      message,
      { id, at: this.#parts.clock.wall(), type: text(type), time: text(time) },
      signal,
    );
  }

  async #judge(
    carried: Carried,
    sending: Sending,
    { id, probes, tookMs }: { readonly id: string; readonly probes: boolean; readonly tookMs: number },
  ): Promise<void> {
    const { name, counts, config } = this.#parts;
    const { status, taken, text, retryAfterMs } = carried;
    if (taken) {
      await this.#works();
      await this.#parts.taken(carried, sending, id);
      counts.ended("taken", tookMs);
      return;
    }
    const mail = config.kind === "email";
    const throttled = !mail && status === 429;
    counts.ended(throttled ? "throttled" : "refused", tookMs);
    if (!mail && status === 410) {
      await this.#disable();
      throw new Gone(name, text);
    }
    const trouble = mail ? status === 421 : status >= 500 || status === 408;
    if (trouble) await this.#failed();
    else if (!throttled) await this.#works();
    // A 500 may be the event's own doing: it spends an attempt, else it would be the probe for ever.
    if (probes && trouble && status !== 500) throw this.#stillAway();
    if (retryAfterMs !== undefined && (throttled || status === 503)) {
      this.#lane.hold(retryAfterMs);
      throw new AskedLater(name, status, retryAfterMs, text);
    }
    throw new NotTaken(name, status, text);
  }

  /** It takes what is sent, or at least says what it does not take. */
  async #works(): Promise<void> {
    const { name, standings } = this.#parts;
    this.#failing = undefined;
    if (standings.of(name)?.reason !== "failing") return;
    await this.#change((known) =>
      known?.reason === "failing" ? { state: "open", ...this.#by(), reason: "probe" } : undefined,
    );
  }

  async #failed(): Promise<void> {
    const { clock, config } = this.#parts;
    this.#failing ??= { since: clock.now(), count: 0 };
    const { since } = this.#failing;
    if (++this.#failing.count < FAILURES || clock.now() - since < config.pauseAfter) return;
    this.#probeAt = clock.now() + Math.min(PROBE_EVERY_MS, config.pauseAfter);
    await this.#change((known) => {
      const open = known === undefined || known.state === "open";
      return open ? { state: "paused", ...this.#by(), reason: "failing" } : undefined;
    });
  }

  #disable(): Promise<void> {
    return this.#change((known) =>
      known?.state === "disabled" ? undefined : { state: "disabled", ...this.#by(), reason: "gone" },
    );
  }

  #by(): { readonly by: string; readonly at: string } {
    const { instance, clock } = this.#parts;
    return { by: `worker ${instance}`, at: new Date(clock.wall()).toISOString() };
  }

  /** Until it is on record, nobody is told what became of the message: killed before, it is sent again. */
  async #change(next: Parameters<Standings["change"]>[1]): Promise<void> {
    await this.#parts.standings.change(this.#parts.name, next);
  }
}
