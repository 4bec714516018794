// Whether a source's stream is that of our database: a configuration that was copied names the same stream on the same bus,
// and its automations would take the events of whoever it was copied from.

import type { Bus } from "../bus/bus.ts";
import type { Clock } from "../clock.ts";
import { MillraceError, TransientError } from "../errors.ts";
import type { SourceId } from "../event/source-id.ts";

type Memory = Readonly<Record<string, unknown>>;

const LOOK_MS = 500;

/**
 * Resolves when a source's stream may be read: whose it is stands on record from its first start on, which is waited for;
 * and with the signal. @throws TransientError STREAM_NOT_OURS, also while that cannot be asked
 */
export type Admit = (source: SourceId, signal: AbortSignal) => Promise<void>;

/**
 * @param sources all that are configured; the streams of others are what they are
 * @param recognise rejects when the memory is about another database than the configured one, or that cannot be asked
 */
export function admitOwn<Source>(
  bus: Pick<Bus, "stream">,
  sources: ReadonlyMap<SourceId, Source>,
  recognise: (id: SourceId, source: Source, memory: Memory) => Promise<void>,
  clock: Clock,
): Admit {
  /** A record that was recognised once is not asked for again: the database may be away by then. */
  const recognised = new Map<SourceId, string>();
  return async (id, signal) => {
    const source = sources.get(id);
    while (source !== undefined && !signal.aborted) {
      const memory = await bus.stream(id).loadMemory();
      const record = JSON.stringify(memory);
      if (memory !== undefined && recognised.get(id) === record) return;
      if (memory === undefined) {
        await clock.sleep(LOOK_MS, signal);
        continue;
      }
      await recognise(id, source, memory).catch(forNow);
      recognised.set(id, record);
      return;
    }
  };
}

/** A person may have the source go on from another database any time. @throws TransientError; what is no error of ours */
function forNow(thrown: unknown): never {
  if (!(thrown instanceof MillraceError)) throw thrown;
  const { code, message, hint = "nothing to do: it is asked again" } = thrown;
  throw new TransientError("STREAM_NOT_OURS", `${code}: ${message}`, { hint, cause: thrown });
}
