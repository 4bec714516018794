// What was read and is not yet handed out: bounded, so that whoever pulls slowly slows those who read; of each shard in its order, of
// many shards in turn, so that one with much to read holds up no other.

import { WakeUp } from "../../../clock.ts";

export interface Bounds {
  /** Of what waits; who begins to read before that may add to it. */
  readonly bytes: number;
  /** How many may read at once. */
  readonly readers: number;
}

interface Waiting<Item> {
  readonly item: Item;
  readonly bytes: number;
}

export class PageQueue<Item, Line> {
  readonly #bounds: Bounds;
  readonly #ready = new WakeUp();
  /** The line whose turn it is comes first. */
  readonly #lines = new Map<Line, Waiting<Item>[]>();
  #bytes = 0;
  #reading = 0;
  #turns: (() => void)[] = [];
  #failure: { readonly thrown: unknown } | undefined;
  #closed = false;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Does it when there is room for what it may bring, in the order of asking. */
  async inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#hasRoom()) await new Promise<void>((resolve) => this.#turns.push(resolve));
    else this.#reading++;
    try {
      return await work();
    } finally {
      this.#reading--;
      this.#letIn();
    }
  }

  /** @param line in which it stands behind what was added before */
  add(line: Line, item: Item, bytes: number): void {
    const waiting = this.#lines.get(line);
    if (waiting === undefined) this.#lines.set(line, [{ item, bytes }]);
    else waiting.push({ item, bytes });
    this.#bytes += bytes;
    this.#ready.set();
  }

  /** The next one; its bytes count until the one behind it is asked for. Undefined once it was closed. @throws what `fail` was given, behind all items */
  async next(done: number): Promise<{ readonly item: Item; readonly bytes: number } | undefined> {
    this.#bytes -= done;
    this.#letIn();
    for (;;) {
      if (this.#closed) return undefined;
      const next = this.#take();
      if (next !== undefined) return next;
      if (this.#failure !== undefined) throw this.#failure.thrown;
      await this.#ready.wait();
    }
  }

  /** What has ended the reading, told behind all that was read before it. */
  fail(thrown: unknown): void {
    this.#failure ??= { thrown };
    this.#letAllIn();
    this.#ready.set();
  }

  close(): void {
    this.#closed = true;
    this.#letAllIn();
    this.#ready.set();
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  #take(): Waiting<Item> | undefined {
    for (const [line, waiting] of this.#lines) {
      const next = waiting.shift();
      this.#lines.delete(line);
      if (waiting.length > 0) this.#lines.set(line, waiting);
      return next;
    }
    return undefined;
  }

  /** Nobody hands out any more what they may bring: they see for themselves that it is over. */
  #letAllIn(): void {
    const turns = this.#turns;
    this.#turns = [];
    this.#reading += turns.length;
    for (const begin of turns) begin();
  }

  #hasRoom(): boolean {
    return this.#reading < this.#bounds.readers && this.#bytes < this.#bounds.bytes;
  }

  #letIn(): void {
    while (this.#turns.length > 0 && this.#hasRoom()) {
      this.#reading++;
      this.#turns.shift()?.();
    }
  }
}
