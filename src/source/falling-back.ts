// Whether a source falls back, from how far it was behind at the last looks.

/** Over how long it is told: what is behind goes up and down by some seconds in the best of states. */
const SPAN_SECONDS = 120;
const MIN_SPAN_SECONDS = 30;
/** Less is how looks and acknowledgements happen to meet. */
const NOISE = 0.05;

interface Look {
  readonly at: number;
  readonly behind: number;
}

export class FallingBack {
  #looks: readonly Look[] = [];

  /**
   * @param at the log's own time, in seconds @param behind seconds of the log that are not acknowledged
   * @returns the part of a second that it falls back in each second: 1 when it stands still, 0 when it keeps up; undefined before
   * that can be told
   */
  look(at: number, behind: number): number | undefined {
    const first = this.#looks.findIndex((look) => look.at >= at - SPAN_SECONDS);
    this.#looks = [...(first === -1 ? [] : this.#looks.slice(first)), { at, behind }];
    const start = this.#looks[0]?.at ?? at;
    if (at - start < MIN_SPAN_SECONDS) return undefined;
    const middle = (start + at) / 2;
    const [older, newer] = [this.#looks.filter((look) => look.at <= middle), this.#looks.filter((l) => l.at > middle)];
    const [before, now] = [least(older), least(newer)];
    // The least of each half: between two acknowledgements it falls back always.
    const rate = (now.behind - before.behind) / Math.max(1, now.at - before.at);
    return rate < NOISE ? 0 : rate;
  }

  /** What was before says nothing any more. */
  forget(): void {
    this.#looks = [];
  }
}

function least(looks: readonly Look[]): Look {
  return looks.reduce((best, look) => (look.behind < best.behind ? look : best));
}
