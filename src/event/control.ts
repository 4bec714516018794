// What people ask of an automation while workers run it: one record each, in the state bucket, which all workers obey.

/** What the keys of the state bucket begin with that say which keys of an automation stand still. */
export function blockedPrefix(automation: string): string {
  return `blocked.${automation}.`;
}

/** Under which it is kept. */
export function controlKey(automation: string): string {
  return `${CONTROL_PREFIX}${automation}`;
}

/** Under which what people ask of a source's copy is kept. */
export function backfillKey(source: string): string {
  return `backfill.${source}`;
}

/** What all of these keys begin with. */
export const CONTROL_PREFIX = "control.";

/** Within so long each worker obeys what was put on record: none begins a handler by what it saw before. */
export const OBEY_MS = 3000;

/** As it is kept. What a newer version adds stays where it is. */
export interface Control {
  /** Grows by one with each change: of two records the newer one has the larger number. */
  readonly n: number;
  /** No handler is begun while it is there. */
  readonly paused?: Asked;
  /** The newest one. */
  readonly seek?: Seek;
}

/** Who asked, and when, RFC 3339. */
export interface Asked {
  readonly by: string;
  readonly at: string;
}

/** Where an automation goes on instead of where it stood. What it hands out again is a run of its own. */
export interface Seek extends Asked {
  /** From 1: the number of this seek. */
  readonly n: number;
  /** As it was asked for: `earliest`, `now`, or a time. */
  readonly to: string;
  /** By stream, the first sequence that is handed out. A stream that is not named did not exist: all of it is. */
  readonly starts: Readonly<Record<string, number>>;
  /** By stream, what had not been settled and is never handed out, both ends included. */
  readonly skipped?: Readonly<Record<string, readonly [first: number, last: number]>>;
}

/** @throws RangeError when it is not what this version writes */
export function parseControl(value: unknown): Control {
  const { n, paused, seek } = (value ?? {}) as Partial<Control>;
  const well =
    Number.isSafeInteger(n) &&
    (paused === undefined || isAsked(paused)) &&
    (seek === undefined || (isAsked(seek) && Number.isSafeInteger(seek.n) && typeof seek.starts === "object"));
  if (!well) throw new RangeError("the record is not what this version writes");
  return value as Control;
}

function isAsked({ by, at }: Partial<Asked>): boolean {
  return typeof by === "string" && typeof at === "string";
}

/** The name of the durables that an automation pulls from: its id, behind a seek another one for each. */
export function durableName(automation: string, seek: Pick<Seek, "n"> | undefined): string {
  return seek === undefined ? automation : `${automation}_s${seek.n}`;
}

/** Whose durable it is, and of which seek; an id has no `_`. */
export function durableOwner(durable: string): { readonly automation: string; readonly seek: number } {
  const found = /^([^_]+)_s(\d+)$/.exec(durable);
  return found === null ? { automation: durable, seek: 0 } : { automation: String(found[1]), seek: Number(found[2]) };
}

/** Whether one was the same automation's before the other. */
export function isOlderDurable(durable: string, than: string): boolean {
  const [one, other] = [durableOwner(durable), durableOwner(than)];
  return one.automation === other.automation && one.seek < other.seek;
}

/** The run of what is handed out behind a seek; undefined before the first one. */
export function seekRun(seek: Pick<Seek, "n"> | undefined): string | undefined {
  return seek === undefined ? undefined : `seek-${seek.n}`;
}

/** Whether a seek has taken the place of what is handed out in this run: of the subscription's own, not of a replay. */
export function isOver(run: string | undefined, seek: Pick<Seek, "n"> | undefined): boolean {
  const of = seekOf(run);
  return of !== undefined && of < (seek?.n ?? 0);
}

/** Whether this run is of a newer seek than the one that is known here: another worker was quicker to hear of it. */
export function isAhead(run: string | undefined, seek: Pick<Seek, "n"> | undefined): boolean {
  const of = seekOf(run);
  return of !== undefined && of > (seek?.n ?? 0);
}

/** The number of the seek that a run is of, 0 before the first one; undefined of a replay. */
function seekOf(run: string | undefined): number | undefined {
  if (run === undefined) return 0;
  const found = /^seek-(\d+)$/.exec(run);
  return found === null ? undefined : Number(found[1]);
}
