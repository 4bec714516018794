// Quantiles of the newest measurements, in bounded memory.

const KEPT = 100_000;

/** Milliseconds from a commit to the handler it started. */
export class Latency {
  readonly #newest: number[] = [];
  #at = 0;

  add(ms: number): void {
    this.#newest[this.#at] = ms;
    this.#at = (this.#at + 1) % KEPT;
  }

  /** The values below which these parts (0 to 1) of the measurements lie, in ms; 0 when there are none. */
  quantiles(...parts: readonly number[]): number[] {
    const sorted = Float64Array.from(this.#newest).sort();
    return parts.map((part) => sorted[Math.ceil(part * sorted.length) - 1] ?? 0);
  }
}

/** An RFC 3339 time with up to six digits of a second, as ms since 1970. */
export function epochMs(time: string): number {
  const micros = /\.\d{3}(\d{1,3})/.exec(time)?.[1] ?? "";
  return Date.parse(time) + Number(micros.padEnd(3, "0")) / 1000;
}
