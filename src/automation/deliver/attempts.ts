// What is remembered of an event between its attempts, in the bus' state, so that it survives the process.

import { z } from "zod";
import type { Bus } from "../../bus/bus.ts";
import type { StateStore } from "../../bus/state-store.ts";
import type { Delivery } from "../../bus/subscription.ts";
import { BugError } from "../../errors.ts";
import { isAhead, type Seek } from "../../event/control.ts";
import { deadReasons } from "../../event/dead-reason.ts";
import { decodeRetry } from "../../event/retry-message.ts";
import { retryId, type SourceId, streamName } from "../../event/source-id.ts";
import type { ErrorSummary } from "../outcome/error-summary.ts";

const errorSummary: z.ZodType<ErrorSummary> = z.lazy(() =>
  z.object({
    name: z.string(),
    message: z.string(),
    code: z
      .string()
      .optional()
      .transform((code) => code),
    cause: errorSummary.exactOptional(),
    answer: z.string().exactOptional(),
    at: z.array(z.string()).exactOptional(),
  }),
);

const unknownError: ErrorSummary = {
  name: "Error",
  message: "what it failed by is not known any more",
  code: undefined,
};

const attemptsSchema = z
  .object({
    /** `ce-id` of the event: the same sequence in a re-created stream is another event. */
    id: z.string(),
    /** Handlers that were started and failed. */
    attempts: z.int(),
    /** When the first one was started, ms since 1970; where none of them has failed yet, when one was first noted. */
    firstAt: z.number(),
    /** Undefined where none has failed yet. */
    lastError: errorSummary.exactOptional(),
    /** Handlers that were started since then and of whose end nothing is known. Noted of an event that comes again. */
    unexplained: z.int().exactOptional(),
    /** Set once it is decided that it goes on in MILLRACE_RETRY: when the next attempt may begin, ms since 1970. */
    later: z.number().exactOptional(),
    /** Where it came out of MILLRACE_RETRY, under which number: only to see whether it still waits there. */
    at: z.int().exactOptional(),
    /** When the next attempt may begin, ms since 1970, of an event that waits in hand for it. */
    dueAt: z.number().exactOptional(),
    /** Set once it is decided that no attempt follows. */
    dead: z.enum(deadReasons).exactOptional(),
    /** When that was decided, ms since 1970: its dead letter may be stored since then. */
    deadAt: z.number().exactOptional(),
  })
  .readonly();
export type Attempts = z.infer<typeof attemptsSchema>;

/** What of a delivery names the event that it hands out. */
export type Named = Pick<Delivery, "stream" | "sequence" | "run"> & {
  readonly carried?: { readonly attempts: number } | undefined;
};

/** What the keys of all of an automation's events begin with. */
export function attemptsOf(automation: string): string {
  return `attempts.${automation}.`;
}

/** The same of one stream; the sequence follows. */
function attemptsPrefix(automation: string, stream: string): string {
  return `${attemptsOf(automation)}${stream}.`;
}

/**
 * Each message has a record of its own: the stream's, and each that followed it in MILLRACE_RETRY. That one is named by the
 * event, the run and the attempts behind it, never by its number, which a server that was set back gives to another one.
 */
export function attemptsKey(automation: string, { stream, sequence, run, carried }: Named): string {
  const name = `${sequence}${carried === undefined ? "" : `.${carried.attempts}`}${run === undefined ? "" : `.${run}`}`;
  if (carried === undefined) return `${attemptsPrefix(automation, stream)}${name}`;
  return `${attemptsPrefix(automation, streamName(retryId))}${stream}.${name}`;
}

/** What is known of an event that came along with its attempts out of MILLRACE_RETRY; undefined before the first. */
export function carriedAttempts({ carried }: Pick<Delivery, "carried">, id: string): Attempts | undefined {
  if (carried === undefined || carried.attempts === 0) return undefined;
  const { attempts, firstAt = carried.dueAt } = carried;
  const { data: lastError = unknownError } = errorSummary.safeParse(carried.lastError);
  return { id, attempts, firstAt, lastError };
}

/** The record of one event; its methods reject with TransientError while the bus is away. */
export class AttemptsRecord {
  readonly #state: StateStore;
  readonly #key: string;
  readonly #id: string;
  readonly #at: { readonly at?: number };
  #revision = 0;
  #stored = false;

  /** @param id of the event, `ce-id` */
  constructor(
    state: StateStore,
    automation: string,
    delivery: Pick<Delivery, "stream" | "sequence" | "run" | "carried">,
    id: string,
  ) {
    this.#state = state;
    this.#key = attemptsKey(automation, delivery);
    this.#at = delivery.carried === undefined ? {} : { at: delivery.carried.at };
    this.#id = id;
  }

  /** @throws BugError when something else is stored there */
  async load(): Promise<Attempts | undefined> {
    const entry = await this.#state.get(this.#key);
    this.#revision = entry?.revision ?? 0;
    this.#stored = entry !== undefined;
    if (entry === undefined) return undefined;
    const found = attemptsSchema.safeParse(entry.value);
    if (!found.success) throw new BugError("MEMORY_UNREADABLE", `${this.#key} is not what this version writes`);
    return found.data.id === this.#id ? found.data : undefined;
  }

  async save(attempts: Omit<Attempts, "id" | "at">): Promise<void> {
    const value: Attempts = { ...attempts, ...this.#at, id: this.#id };
    for (;;) {
      const revision = await this.#state.put(this.#key, value, this.#revision);
      if (revision !== undefined) {
        this.#revision = revision;
        this.#stored = true;
        return;
      }
      // Not read before, or stored though the answer was lost.
      await this.load();
    }
  }

  /** Whether the bus holds it, as far as is known. */
  get stored(): boolean {
    return this.#stored;
  }

  /** Forgets the event. */
  async clear(): Promise<void> {
    await this.#state.delete(this.#key);
  }
}

/**
 * Deletes what is still remembered of an automation's events on one source up to and including a sequence, which are all
 * settled behind this seek, or were before it: a kill left it, or a bus that forgot the deletion. What is remembered behind a newer
 * seek is of events that are handed out again, whatever was settled before. @throws TransientError
 */
export async function sweepAttempts(
  state: Pick<StateStore, "keys" | "delete">,
  automation: string,
  source: SourceId,
  { through, seek }: { readonly through: number; readonly seek: Pick<Seek, "n"> | undefined },
): Promise<void> {
  const prefix = attemptsPrefix(automation, streamName(source));
  for (const key of await state.keys(prefix)) {
    const [sequence, run] = key.slice(prefix.length).split(".");
    if (Number(sequence) <= through && !isAhead(run, seek)) await state.delete(key);
  }
}

/**
 * The same of what came out of MILLRACE_RETRY: one that waits there may wait for long, and holds up none of the others, so each
 * is looked for by itself. @throws TransientError
 */
export async function sweepCarried(bus: Pick<Bus, "state" | "read">, automation: string): Promise<void> {
  const { state } = bus;
  for (const key of await state.keys(attemptsPrefix(automation, streamName(retryId)))) {
    const entry = await state.get(key);
    if (entry === undefined) continue;
    const { at } = (entry.value ?? {}) as { readonly at?: unknown };
    const waiting = typeof at === "number" ? await bus.read(retryId, at) : undefined;
    const message = waiting && decodeRetry(waiting.headers?.() ?? {});
    if (message && attemptsKey(automation, { ...message, carried: message }) === key) continue;
    await state.delete(key);
  }
}
