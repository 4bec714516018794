// Which end of a source ends the worker: any set-up that is wrong, or the last source's. The others go on behind all else.

import { ConfigError, MillraceError, toError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { SourceTracker } from "./source-status.ts";

/**
 * Tells of each source that ends by an error.
 * @param ended resolves for each source when it has ended, and rejects with what ended it; in the order of the trackers
 * @returns resolves when all have ended well
 * @throws ConfigError at once; else the first error, in that order, once all have ended
 */
export async function fatalEnd(
  trackers: readonly Pick<SourceTracker, "id">[],
  ended: readonly Promise<void>[],
  log: Logger,
): Promise<void> {
  const fatal = ended.map((end, nth) =>
    end.catch((thrown: unknown) => {
      if (thrown instanceof ConfigError) throw thrown;
      const { code, hint } = thrown instanceof MillraceError ? thrown : { code: "UNEXPECTED", hint: undefined };
      log.error("source_stopped", { source: trackers[nth]?.id, code, hint }, toError(thrown).message);
    }),
  );
  await Promise.all(fatal);
  await Promise.all(ended);
}
