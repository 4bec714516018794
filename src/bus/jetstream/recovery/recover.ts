// Finding out where the stream ends after something happened to what was sent or stored: again and again, with growing
// pauses, until it is known or the bus has been away for too long.

import { TransientError } from "../../../errors.ts";
import type { StreamMessage } from "../../../event/message.ts";
import { laterPositions, type Positions, reaches } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { Lifetime } from "../client/lifetime.ts";
import type { CheckpointStore } from "../lease/checkpoint-store.ts";
import type { StoredConnectorState } from "../lease/connector-state.ts";
import { type Established, establish, type HeldStream, type StreamParts } from "./establish.ts";

/** The first pause before recovering a second time in a row, and the longest one. */
const AGAIN_MS = 50;
const MAX_AGAIN_MS = 5000;
/** The same where the bus answers, and takes the marker of each recovery but not what comes behind it. */
const MAX_REFUSED_MS = 60_000;

/** What has happened since a batch was last stored. */
export class Disruptions {
  /** Set until a recovery has begun that covers it. */
  reason: string | undefined;
  /** What went wrong last, until a batch is stored again. */
  trouble: { readonly code: string; readonly message: string } | undefined;
  #count = 0;

  /** @param code why, where it is known */
  note(reason: string, code = "BUS_INTERRUPTED"): void {
    this.reason ??= reason;
    this.trouble = { code, message: reason };
  }

  /** A recovery begins. Returns how long to wait first, in ms: the more there were in a row, the longer. */
  begin(): number {
    this.#count++;
    const maxMs = this.trouble?.code === "BUS_REFUSED" ? MAX_REFUSED_MS : MAX_AGAIN_MS;
    return this.#count === 1 ? 0 : Math.min(AGAIN_MS * 2 ** (this.#count - 2), maxMs);
  }

  /** A batch was stored. */
  reset(): void {
    this.#count = 0;
    this.trouble = undefined;
  }
}

export interface RecoverOptions extends HeldStream {
  /** As for `establish`. */
  readonly highest: number;
  readonly created: string;
  readonly reason: string;
  readonly signal: AbortSignal;
  readonly checkpoints: CheckpointStore;
  readonly memory: Pick<StoredConnectorState, "keep">;
  readonly life: Lifetime;
  readonly disruptions: Disruptions;
  /** Called before each try: what waits for the bus' fsync may be lost. */
  readonly onTry: () => void;
  readonly maxAwayMs: number;
  readonly log: Logger;
}

/**
 * Undefined when the writer ended meanwhile.
 * @throws TransientError BUS_AWAY, FencedError, HistoryLostError
 */
export async function recover(options: RecoverOptions): Promise<Established | undefined> {
  const { clock, life, disruptions, checkpoints, maxAwayMs, log, source } = options;
  const sinceMs = clock.now();
  for (;;) {
    const delayMs = disruptions.begin();
    if (delayMs > 0) await clock.sleep(delayMs, life.signal);
    if (life.ended) return undefined;
    disruptions.reason = undefined;
    options.onTry();
    try {
      const found = await establish({ ...options, ...(await checkpoints.load()) });
      await options.memory.keep();
      if (disruptions.reason === undefined) return found;
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      disruptions.trouble = error;
      const awayMs = clock.now() - sinceMs;
      if (awayMs > maxAwayMs) throw busAway(awayMs, error);
      log.debug("bus_disconnected", { source, code: error.code });
    }
  }
}

function busAway(awayMs: number, cause: TransientError): TransientError {
  return new TransientError(
    "BUS_AWAY",
    `the bus has stored nothing for ${Math.round(awayMs / 1000)} s: ${cause.message}`,
    {
      hint: `the source is closed until the bus is back; ${cause.hint ?? "see that nats-server runs and can be reached"}`,
      cause,
    },
  );
}

/** Whether messages are gone that the bus had acknowledged. @param before how far the stream was */
export function hasLostMessages(
  { lost, tail, resume, storedThrough }: Established,
  before: Positions | undefined,
): boolean {
  if (lost !== undefined || before === undefined) return lost !== undefined;
  return tail === undefined || !reaches(laterPositions(resume, storedThrough), before);
}

/** Of large events in the stream, or of those that wait. @throws TransientError */
export async function hasLostBodies(
  { storedThrough }: Established,
  waiting: readonly StreamMessage[],
  hasBody: StreamParts["hasBody"],
): Promise<boolean> {
  if (storedThrough !== undefined) return true;
  for (const { ref } of waiting) if (ref !== undefined && !(await hasBody(ref))) return true;
  return false;
}

export function lostMessages(source: SourceId): TransientError {
  return new TransientError("BUS_LOST_MESSAGES", `the bus lost messages it had acknowledged, of ${source}`, {
    hint: "the source is read again from the surviving tail",
  });
}

export function lostBodies(source: SourceId): TransientError {
  return new TransientError("BUS_LOST_BODIES", `the bus lost bodies of large events of ${source}`, {
    hint: "nothing to do: the source is read again, and they are stored again",
  });
}
