// What is remembered of an event between its attempts, in the bus' state, so that it survives the process.

import { z } from "zod";
import type { StateStore } from "../../bus/bus.ts";
import { BugError } from "../../errors.ts";
import { deadReasons } from "../../event/dead-reason.ts";
import { type SourceId, streamName } from "../../event/source-id.ts";
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
    at: z.array(z.string()).exactOptional(),
  }),
);

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
    /** Set once it is decided that no attempt follows. */
    dead: z.enum(deadReasons).exactOptional(),
  })
  .readonly();
export type Attempts = z.infer<typeof attemptsSchema>;

/** What the keys of an automation's events of one source begin with; the sequence follows. */
function attemptsPrefix(automation: string, source: SourceId): string {
  return `attempts.${automation}.${streamName(source)}.`;
}

/** The record of one event; its methods reject with TransientError while the bus is away. */
export class AttemptsRecord {
  readonly #state: StateStore;
  readonly #place: readonly [automation: string, source: SourceId, sequence: number];
  readonly #id: string;
  #revision = 0;
  #stored = false;

  constructor(state: StateStore, automation: string, source: SourceId, sequence: number, id: string) {
    this.#state = state;
    this.#place = [automation, source, sequence];
    this.#id = id;
  }

  get #key(): string {
    const [automation, source, sequence] = this.#place;
    return `${attemptsPrefix(automation, source)}${sequence}`;
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

  async save(attempts: Omit<Attempts, "id">): Promise<void> {
    const value: Attempts = { ...attempts, id: this.#id };
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
 * settled: a kill left it, or a bus that forgot the deletion. @throws TransientError
 */
export async function sweepAttempts(
  state: Pick<StateStore, "keys" | "delete">,
  automation: string,
  source: SourceId,
  settledThrough: number,
): Promise<void> {
  const prefix = attemptsPrefix(automation, source);
  for (const key of await state.keys(prefix)) {
    if (Number(key.slice(prefix.length)) <= settledThrough) await state.delete(key);
  }
}
