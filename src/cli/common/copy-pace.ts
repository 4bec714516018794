// How fast a copy goes, and about how long it still takes.

import type { CopyLook } from "./copy-watch.ts";

/** What can be told of it; absent where it cannot. */
export interface Pace {
  readonly rowsPerSecond?: number;
  /** An estimate: by how many rows there were about when it began. */
  readonly secondsLeft?: number;
}

/** Short enough for one that slows down. */
const WINDOW_MS = 60_000;

/** Over one look: in the mean since it began, pauses included. */
export function meanPace(look: CopyLook): Pace {
  const { copy, toldAt } = look;
  const { rows = 0, startedAt = "" } = copy?.progress ?? {};
  const seconds = (Date.parse(toldAt ?? "") - Date.parse(startedAt)) / 1000;
  return seconds >= 1 && goesOn(look) ? paceOf(look, rows / seconds) : {};
}

/** Over the looks of the last minute. */
export class RecentPace {
  #looks: readonly { readonly ms: number; readonly rows: number }[] = [];
  #backfill: number | undefined;

  /** @param now ms of any steady clock */
  look(look: CopyLook, now: number): Pace {
    const { copy } = look;
    // Only while it goes on: what rests is not slow.
    if (!goesOn(look) || copy?.backfill !== this.#backfill) this.#looks = [];
    this.#backfill = copy?.backfill;
    if (!goesOn(look)) return {};
    const { rows = 0 } = copy?.progress ?? {};
    // At a low rate a batch comes less often: the newest step is always within.
    const step = this.#looks.findLastIndex((one) => one.rows < rows);
    const recent = this.#looks.filter(({ ms }, nth) => now - ms <= WINDOW_MS || (step >= 0 && nth >= step));
    this.#looks = [...recent, { ms: now, rows }];
    const [first] = recent;
    return first === undefined ? {} : paceOf(look, ((rows - first.rows) / Math.max(1, now - first.ms)) * 1000);
  }
}

/** What rests, waits for a reason, or has no worker ends nobody knows when. */
function goesOn({ copy, isRead }: CopyLook): boolean {
  return copy?.state === "copying" && isRead;
}

function paceOf({ copy }: CopyLook, measured: number): Pace {
  // The first batch under a limit comes at once, and is waited for behind it.
  const rowsPerSecond = Math.min(measured, copy?.order?.rate ?? measured);
  const { rows = 0, estimatedRows = 0 } = copy?.progress ?? {};
  const left = estimatedRows - rows;
  return { rowsPerSecond, ...(left > 0 && rowsPerSecond > 0 && { secondsLeft: left / rowsPerSecond }) };
}
