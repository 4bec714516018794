// The slice whose rows are stored, and the one behind it, which is read meanwhile: each of a moment of its own, and each held against
// all that is handed out since before it was read. Two at most, and one is read at a time.

import type { Change, CollectionVersion } from "../event/source-event.ts";
import type { RowCopier, Slice, SliceRequest } from "../source/capabilities.ts";
import type { SourceMessage } from "../source/source.ts";
import { type Described, HeldSlice } from "./held-slice.ts";

/** A slice that was read. */
export interface ReadSlice {
  readonly held: HeldSlice;
  readonly slice: Slice;
}

/** A slice that is being read, or was. */
interface Reading {
  readonly held: HeldSlice;
  readonly read: Promise<ReadSlice>;
}

export class SlicesInHand {
  readonly #maxNotedBytes: number | undefined;
  #current: HeldSlice | undefined;
  #ahead: Reading | undefined;
  /** By the collection's id, the version of its newest change: of each only the first change is told. */
  readonly #versions = new Map<string, CollectionVersion>();
  /** The newest reading, however it ends. */
  #idle: Promise<unknown> = Promise.resolve();

  /** @param maxNotedBytes of each: as of `HeldSlice` */
  constructor(maxNotedBytes?: number) {
    this.#maxNotedBytes = maxNotedBytes;
  }

  /** Called with all that is handed out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    this.#current?.handedOut(messages);
    this.#ahead?.held.handedOut(messages);
    for (const message of messages) {
      const described = message.type === "change" ? this.#describes(message) : undefined;
      if (described === undefined) continue;
      this.#current?.described(described);
      this.#ahead?.held.described(described);
    }
  }

  /** Undefined where the change is of the same version as the one before. */
  #describes({ kind: { version }, position, transaction }: Change): Described | undefined {
    if (version === undefined || this.#versions.get(version.schema.id) === version) return undefined;
    this.#versions.set(version.schema.id, version);
    return { version, position, transaction: transaction.id ?? "" };
  }

  /** Reads the one slice in hand. @throws as `RowCopier.readSlice` */
  async read(copier: RowCopier, request: SliceRequest): Promise<ReadSlice> {
    this.drop();
    await this.idle();
    const { held, read } = this.#begin(copier, request);
    this.#current = held;
    return read;
  }

  /**
   * Begins to read what is behind a slice in hand, where the copier can. Rows that are owed are read by `read` alone, which throws
   * this one away: beside it, one that has come to a place that is read and not stored yet would be taken for one that a slice
   * comes by.
   */
  readAhead(copier: RowCopier, request: SliceRequest, { slice }: ReadSlice): void {
    const after = slice.rows.length === 0 ? slice.passed : slice.after(slice.rows.length - 1);
    if (copier.readsAhead !== true || slice.isLast || after === undefined) return;
    this.#ahead = this.#begin(copier, { ...request, after });
  }

  /** The one that was read ahead is the slice in hand: all of the one before is stored. @throws as `RowCopier.readSlice` */
  async next(): Promise<ReadSlice | undefined> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    this.#current = ahead?.held;
    return ahead?.read;
  }

  /** Resolves when nothing is read any more: a copier is asked for one thing at a time, also where nobody wants the one before. */
  async idle(): Promise<void> {
    await this.#idle;
  }

  /** Nothing of them is stored any more. */
  drop(): void {
    this.#current = undefined;
    this.#ahead = undefined;
  }

  #begin(copier: RowCopier, request: SliceRequest): Reading {
    const held = new HeldSlice(request.target, this.#maxNotedBytes);
    const read = copier.readSlice(request).then((slice) => {
      held.fill(slice);
      return { held, slice };
    });
    this.#idle = read.catch(() => {}); // told where the slice's turn comes
    return { held, read };
  }
}
