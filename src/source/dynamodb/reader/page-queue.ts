// What was read and is not yet handed out: bounded, so that whoever pulls slowly slows those who read; of each shard in its order, of
// many shards in turn, so that one with much to read holds up no other.

import { WakeUp } from "../../../clock.ts";

export interface Bounds {
  /** Of what waits, and of what those who read may bring. */
  readonly bytes: number;
  /** How many may read at once. */
  readonly readers: number;
}

interface Waiting<Item> {
  readonly item: Item;
  readonly bytes: number;
}

interface Turn {
  readonly bytes: number;
  readonly begin: () => void;
}

export class PageQueue<Item, Line> {
  readonly #bounds: Bounds;
  readonly #ready = new WakeUp();
  /** The line whose turn it is comes first. */
  readonly #lines = new Map<Line, Waiting<Item>[]>();
  #bytes = 0;
  #reading = 0;
  #expected = 0;
  #turns: Turn[] = [];
  #failure: { readonly thrown: unknown } | undefined;
  #closed = false;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Does it when there is room for what it may bring, in the order of asking. @param bytes as many as it is expected to add */
  async inTurn<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined || this.#closed || (this.#turns.length === 0 && this.#hasRoom(bytes)))
      this.#letIn(bytes);
    else await new Promise<void>((begin) => this.#turns.push({ bytes, begin }));
    try {
      return await work();
    } finally {
      this.#reading--;
      this.#expected -= bytes;
      this.#letInAll();
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
    this.#letInAll();
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
    this.#letInAll();
    this.#ready.set();
  }

  close(): void {
    this.#closed = true;
    this.#letInAll();
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

  /** What one page would exceed is let in when nothing else is there. */
  #hasRoom(bytes: number): boolean {
    const [held, most] = [this.#bytes + this.#expected, this.#bounds.bytes];
    return this.#reading < this.#bounds.readers && (held === 0 || (held < most && held + bytes <= most));
  }

  #letIn(bytes: number): void {
    this.#reading++;
    this.#expected += bytes;
  }

  /** Where it is over nobody hands out what they may bring: they see that for themselves. */
  #letInAll(): void {
    const isOver = this.#failure !== undefined || this.#closed;
    for (
      let turn = this.#turns[0];
      turn !== undefined && (isOver || this.#hasRoom(turn.bytes));
      turn = this.#turns[0]
    ) {
      this.#turns.shift();
      this.#letIn(turn.bytes);
      turn.begin();
    }
  }
}
