// How far a replay is: a line that is drawn anew on a terminal, log lines elsewhere.

import type { ReplayProgress } from "../../bus/jetstream/commands/replay-events.ts";
import type { Logger } from "../../telemetry/logger.ts";

const DRAW_EVERY_MS = 200;
const LOG_EVERY_MS = 10_000;

/** Where progress is shown; `end` takes the line away. */
export function showReplayProgress(log: Logger): {
  readonly show: (progress: ReplayProgress) => void;
  readonly end: () => void;
} {
  const { stderr } = process;
  let saidAt = performance.now();
  let drawn = false;
  return {
    show: ({ done, total, waiting }) => {
      const now = performance.now();
      if (now - saidAt < (stderr.isTTY ? DRAW_EVERY_MS : LOG_EVERY_MS)) return;
      saidAt = now;
      if (!stderr.isTTY) return log.info("replay_progress", { done, total, waiting });
      drawn = true;
      const filled = Math.round((20 * done) / total);
      const waits = waiting === 0 ? "" : `, waits for a worker: ${waiting} are not handled yet`;
      stderr.write(`\r\u001b[2K${"█".repeat(filled)}${"░".repeat(20 - filled)} ${done} of ${total}${waits}`);
    },
    end: () => {
      if (drawn) stderr.write("\r\u001b[2K");
    },
  };
}
