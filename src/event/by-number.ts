// Values by whole numbers that come and go, as events in hand by their sequences. Not a Map: V8 leaves behind each table that a Map
// has outgrown, or filled with what was deleted, with all that was in it then, and lets it point to the next one. Once one of them
// has grown old, all later ones and their events live until the next whole garbage collection, and each small one moves them: where
// hundreds of events are in hand and thousands pass through a second, that was a third of what the worker did.

const LEAST = 16;

/** A table of its own, of which half is free: a value stands at its number modulo the size, or in the next place that was free. */
export class ByNumber<Value extends object> {
  #keys: Float64Array = new Float64Array(LEAST);
  #values: (Value | undefined)[] = emptied(LEAST);
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
      if (((at - (own & mask)) & mask) < ((at - free) & mask)) continue;
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

  /** Where it stands, or would. */
  #placeOf(key: number): number {
    const mask = this.#values.length - 1;
    let at = key & mask;
    while (this.#values[at] !== undefined && this.#keys[at] !== key) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Float64Array(values.length * 2);
    this.#values = emptied(values.length * 2);
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
