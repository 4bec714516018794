// Values by whole numbers that come and go, as events in hand by their sequences. Not a Map: V8 leaves behind each table that a Map
// has outgrown, or filled with what was deleted, with all that was in it then, and lets it point to the next one. Once one of them
// has grown old, all later ones and their events live until the next whole garbage collection, and each small one moves them.

const LEAST_BITS = 4;
/** Of Fibonacci hashing: numbers that follow each other are to lie apart, for whoever is deleted looks as far as places are taken. */
const SPREAD = 0x9e3779b1;

/** A table of its own, of which half is free: a value stands where its number says, or in the next place that was free. */
export class ByNumber<Value extends object> {
  #bits: number = LEAST_BITS;
  #keys: Float64Array = new Float64Array(1 << LEAST_BITS);
  #values: (Value | undefined)[] = emptied(1 << LEAST_BITS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: number): Value | undefined {
    return this.#values[this.#placeOf(key)];
  }

  set(key: number, value: Value): void {
    if (this.#size * 2 >= this.#values.length) this.#grow();
    const at = this.#placeOf(key);
    if (this.#values[at] === undefined) this.#size++;
    this.#keys[at] = key;
    this.#values[at] = value;
  }

  /** Whether it was there. */
  delete(key: number): boolean {
    const mask = this.#values.length - 1;
    let free = this.#placeOf(key);
    if (this.#values[free] === undefined) return false;
    this.#size--;
    // What stands behind it closes up, unless it stands where it belongs or nearer to that than the free place.
    for (let at = (free + 1) & mask; this.#values[at] !== undefined; at = (at + 1) & mask) {
      const own = this.#keys[at] ?? 0;
      if (((at - this.#homeOf(own)) & mask) < ((at - free) & mask)) continue;
      this.#keys[free] = own;
      this.#values[free] = this.#values[at];
      free = at;
    }
    this.#values[free] = undefined;
    return true;
  }

  /** All of them as they are now, in no order. */
  values(): readonly Value[] {
    return this.#values.filter((value) => value !== undefined);
  }

  #homeOf(key: number): number {
    return Math.imul(key, SPREAD) >>> (32 - this.#bits);
  }

  /** Where it stands, or would. */
  #placeOf(key: number): number {
    const mask = this.#values.length - 1;
    let at = this.#homeOf(key);
    while (this.#values[at] !== undefined && this.#keys[at] !== key) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#bits++;
    this.#keys = new Float64Array(1 << this.#bits);
    this.#values = emptied(1 << this.#bits);
    for (const [at, value] of values.entries()) {
      if (value === undefined) continue;
      const key = keys[at] ?? 0;
      const place = this.#placeOf(key);
      this.#keys[place] = key;
      this.#values[place] = value;
    }
  }
}

function emptied<Value>(length: number): (Value | undefined)[] {
  return new Array<Value | undefined>(length).fill(undefined);
}
