// When a stream's shards are listed again, for the children of those that have ended: soon at first, then less and less, and
// once for all that wait at the same time. Pure: it is told the time.

interface Ended {
  readonly id: string;
  found: boolean;
  tries: number;
  dueAt: number;
}

/** Of the first looks, each twice as late as the one before. */
const LEAST_MS = 50;
const MOST_MS = 1_000;
const TRIES = 10;
/** A shard may be closed long before a child of it is listed, or never have one: the regular look comes to it then. */
const LATER_MS = 2_000;
const LATER_TRIES = 40;
/** Of two children one may be listed later. */
const SECOND_LOOKS_MS = [1_000, 5_000];
/** What is due so soon is done at once, with what is due. */
const TOGETHER_MS = 50;

export class ChildSearch {
  readonly #ended = new Map<string, Ended>();

  /** A shard was read to its end. @param found whether a child of it is known */
  add(id: string, found: boolean, now: number): void {
    const [soonest = 0] = SECOND_LOOKS_MS;
    this.#ended.set(id, { id, found, tries: 0, dueAt: found ? now + soonest : now });
  }

  /** When the next look is due; undefined where nothing is searched. */
  get dueAt(): number | undefined {
    const times = [...this.#ended.values()].map(({ dueAt }) => dueAt);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Whose children are to be looked for now. */
  due(now: number): readonly string[] {
    return [...this.#ended.values()].filter(({ dueAt }) => dueAt <= now + TOGETHER_MS).map(({ id }) => id);
  }

  /** Whether asking for the children of one alone is enough: later on others may have come as well. */
  isFirst(id: string): boolean {
    const ended = this.#ended.get(id);
    return ended !== undefined && !ended.found && ended.tries < TRIES;
  }

  /** It was looked for the children of these. */
  looked(ids: readonly string[], isFound: (id: string) => boolean, now: number): void {
    for (const id of ids) {
      const ended = this.#ended.get(id);
      if (ended === undefined) continue;
      if (!ended.found && isFound(id)) {
        ended.found = true;
        ended.tries = 0;
      } else ended.tries++;
      const rest = restMs(ended);
      if (rest === undefined) this.#ended.delete(id);
      else ended.dueAt = now + rest;
    }
  }

  clear(): void {
    this.#ended.clear();
  }
}

function restMs({ found, tries }: Ended): number | undefined {
  if (found) return SECOND_LOOKS_MS[tries];
  if (tries <= TRIES) return Math.min(MOST_MS, LEAST_MS * 2 ** (tries - 1));
  return tries <= TRIES + LATER_TRIES ? LATER_MS : undefined;
}
