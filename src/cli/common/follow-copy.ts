// Follows a copy to its end: a line that is drawn anew on a terminal, log lines elsewhere.

import { isOpen } from "../../backfill/standing.ts";
import { realClock } from "../../clock.ts";
import { ConfigError, type MillraceError, TransientError } from "../../errors.ts";
import { formatCollectionName } from "../../event/collection-name.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { copyBar, snapshotLines, waitLines } from "./copy-lines.ts";
import { type Pace, RecentPace } from "./copy-pace.ts";
import type { CopyLook, CopyWatch } from "./copy-watch.ts";
import { printable } from "./terminal.ts";

const LOOK_EVERY_MS = 500;
const LOG_EVERY_MS = 10_000;

/**
 * Resolves with the last look once nothing of that copy comes any more, or with what was seen last when the signal says so. A bus
 * that is away is asked again.
 * @throws ConfigError
 */
export async function followCopy(
  watch: CopyWatch,
  backfill: number,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<CopyLook | undefined> {
  const shown = process.stderr.isTTY ? drawn() : logged(log);
  const pace = new RecentPace();
  let last: CopyLook | undefined;
  try {
    while (!signal.aborted) {
      try {
        last = await watch.look();
        if (last.copy?.backfill !== backfill || !isOpen(last.copy)) return last;
        shown.look(watch, last, pace.look(last, realClock.now()));
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof TransientError)) throw error;
        shown.away(watch, error);
      }
      await realClock.sleep(LOOK_EVERY_MS, signal);
    }
    return last;
  } finally {
    shown.end();
  }
}

interface Shown {
  look(watch: CopyWatch, look: CopyLook, pace: Pace): void;
  away(watch: CopyWatch, error: MillraceError): void;
  end(): void;
}

function drawn(): Shown {
  const { stderr } = process;
  let said = "";
  // A line that the terminal breaks could not be drawn anew.
  const draw = (line: string): void =>
    void stderr.write(`\r\u001b[2K${printable(line).slice(0, (stderr.columns || 80) - 1)}`);
  return {
    look: ({ source }, look, pace) => {
      const { copy } = look;
      const costs = copy === undefined ? [] : snapshotLines(copy);
      const waits = [...costs, ...waitLines(source, look)].map(printable).join("\n");
      if (waits !== said && waits !== "") stderr.write(`\r\u001b[2K${waits}\n`);
      said = waits;
      draw(copyBar(source, look, pace));
    },
    away: (_, { code, message }) => draw(`${code}: ${message}; the copy does not mind, and it is looked again`),
    end: () => void stderr.write("\r\u001b[2K"),
  };
}

/** At each change of what it does, and from time to time. */
function logged(log: Logger): Shown {
  let said: { readonly at: number; readonly what: string } | undefined;
  const say = (what: string, line: () => void): void => {
    const now = realClock.now();
    if (said !== undefined && said.what === what && now - said.at < LOG_EVERY_MS) return;
    said = { at: now, what };
    line();
  };
  return {
    look: ({ source }, { copy, isRead }, { rowsPerSecond, secondsLeft }) => {
      if (copy === undefined) return;
      const { backfill, state, progress: { rows = 0, done = 0, estimatedRows, at, reason } = {} } = copy;
      const { code, hint } = state === "waiting" && reason !== undefined ? reason : {};
      const fields = {
        ...{ source, backfill, state, rows, estimatedRows, done, collection: at && formatCollectionName(at) },
        rowsPerSecond: rowsPerSecond && Math.round(rowsPerSecond),
        estimatedSecondsLeft: secondsLeft && Math.round(secondsLeft),
        ...{ isRead, code, hint },
      };
      const [costs] = snapshotLines(copy);
      const text = isRead
        ? code === undefined
          ? costs?.trim()
          : reason?.message
        : `no worker reads ${source} now: it waits for one`;
      say(`${state} ${isRead} ${code} ${costs}`, () => log.info("backfill_progress", fields, text));
    },
    away: ({ source }, { code, message }) =>
      say(code, () => log.warn("backfill_progress", { source, code }, `${message}; the copy does not mind`)),
    end: () => {},
  };
}

/** @throws ConfigError BACKFILL_RATE; a number above 0, undefined for `max` */
export function parseRate(given: string): number | undefined {
  if (given === "max") return undefined;
  const rate = Number(given);
  if (rate > 0 && Number.isFinite(rate)) return rate;
  throw new ConfigError("BACKFILL_RATE", `--rate ${given} is no number of rows a second`, {
    hint: "Write a number above 0, such as --rate 5000, or max.",
  });
}
