// How often something happened in the last 15 minutes: as far back as the alert MillraceBusUnsteady looks.

const WITHIN_MS = 15 * 60_000;

export class Recent {
  #times: number[] = [];

  note(): void {
    this.#times = [...this.#still(), performance.now()];
  }

  get count(): number {
    return this.#still().length;
  }

  #still(): number[] {
    const since = performance.now() - WITHIN_MS;
    return this.#times.filter((time) => time >= since);
  }
}
