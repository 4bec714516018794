// When something is due: by a cron expression in a time zone, or at a steady pace. The same times for every worker that asks,
// from whichever time on: nothing here knows what time it is now.

import { Cron } from "croner";
import { parseDuration } from "../../event/duration.ts";
import { invalid } from "../outcome/invalid.ts";

/** What becomes of times that nobody could see come: none is made up, the last one, or all. */
export type CatchUp = "none" | "last" | "all";

/** All times in ms since 1970. */
export interface Timetable {
  /** As it was written, with its zone: another text is another plan. */
  readonly plan: string;
  /** The first time behind this one; undefined where there is none any more. */
  next(afterMs: number): number | undefined;
}

/** What starts an automation by the clock. */
export interface Schedule {
  readonly timetable: Timetable;
  readonly catchUp: CatchUp;
}

const YEAR_MS = 366 * 86_400_000;
const SECOND_MS = 1000;
/** So that no `?`, date, year or nickname is taken, whatever else a newer croner may come to understand. */
const FIELDS = /^([0-9A-Za-z*,/#L+-]+\s+){4,5}[0-9A-Za-z*,/#L+-]+$/;

/**
 * `every 5m`, at whole multiples of it since 1970; or a cron expression of five fields, or six with seconds first.
 * @param tz an IANA time zone; UTC by default
 * @param place named in errors
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function timetableOf(when: string, tz: string | undefined, place: string): Timetable {
  const text = typeof when === "string" ? when.trim().replace(/\s+/g, " ") : "";
  if (text.startsWith("every ")) return steady(text, tz, place);
  return byCron(text, zoneOf(tz, place), place);
}

function steady(text: string, tz: string | undefined, place: string): Timetable {
  const everyMs = parseDuration(text.slice("every ".length));
  if (everyMs === undefined || everyMs < SECOND_MS || everyMs > YEAR_MS || everyMs % SECOND_MS !== 0) {
    throw invalid(
      `${place}: ${JSON.stringify(text)} is no pace`,
      'write whole seconds, minutes, hours or days, up to a year: "every 30s", "every 5m"',
    );
  }
  if (tz !== undefined) {
    throw invalid(
      `${place}: "every" knows no time zone`,
      'leave tz out: its times are multiples since 1970 in UTC; "0 3 * * *" is by the clock of a zone',
    );
  }
  return { plan: text, next: (afterMs) => (Math.floor(afterMs / everyMs) + 1) * everyMs };
}

function byCron(text: string, zone: string, place: string): Timetable {
  const fields = FIELDS.test(text) ? cronOf(text, zone) : undefined;
  if (!(fields instanceof Cron)) {
    const why = fields === undefined ? "" : `: ${fields}`;
    throw invalid(
      `${place}: ${JSON.stringify(text)} is no time to be due at${why}`,
      'write "every 5m", or a cron expression of five fields (six with seconds): "0 3 * * TUE" is each Tuesday at 3',
    );
  }
  return {
    plan: `${text} ${zone}`,
    // Whole seconds are all that it knows: what is asked for behind 0.5 s must not come twice.
    next: (afterMs) => fields.nextRun(new Date(Math.floor(afterMs / SECOND_MS) * SECOND_MS))?.getTime(),
  };
}

/** Undefined, or why it is none. It starts nothing by itself: it was given nothing to call. */
function cronOf(text: string, timezone: string): Cron | string {
  try {
    // A job at fixed times has each of them once a day, whether the clock leaps over it or comes to it twice.
    return new Cron(text, { timezone, mode: "5-or-6-parts", fixedTimeRule: "no-wildcard", paused: true });
  } catch (error) {
    return String(error instanceof Error ? error.message : error).replace(/^CronPattern: /, "");
  }
}

function zoneOf(tz: string | undefined, place: string): string {
  if (tz === undefined) return "UTC";
  try {
    if (typeof tz === "string" && tz !== "")
      return new Intl.DateTimeFormat("en", { timeZone: tz }).resolvedOptions().timeZone;
  } catch {
    // told below
  }
  throw invalid(`${place}: ${JSON.stringify(tz)} is no time zone`, 'write an IANA name like "Europe/Vienna", or "UTC"');
}

/** The newest time behind one and not behind the other: found by halves, however many lie between. */
export function lastUpTo({ next }: Pick<Timetable, "next">, afterMs: number, upToMs: number): number | undefined {
  const dueBehind = (ms: number): number | undefined => {
    const due = next(ms);
    return due !== undefined && due <= upToMs ? due : undefined;
  };
  let found = dueBehind(afterMs);
  if (found === undefined) return undefined;
  // Within a second there is one at most.
  for (let [low, high] = [found, upToMs]; high - low > SECOND_MS / 2; ) {
    const middle = (low + high) / 2;
    const due = dueBehind(middle);
    if (due === undefined) {
      high = middle;
      continue;
    }
    found = due;
    low = due;
  }
  return found;
}
