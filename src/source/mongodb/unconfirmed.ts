// How much of a log was handed out and is not acknowledged yet: a server that keeps its log by age does not count for its readers.

import { comparePositions, type Position } from "../../event/position.ts";

/** Chunks that are smaller share an entry. */
const ENTRY_BYTES = 64 * 1024;

interface Entry {
  /** Its end. */
  position: Position;
  bytes: number;
}

export class Unconfirmed {
  #entries: Entry[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** @param position of the last of them */
  handedOut(bytes: number, position: Position): void {
    const last = this.#entries.at(-1);
    if (last === undefined || last.bytes >= ENTRY_BYTES) this.#entries.push({ position, bytes });
    else Object.assign(last, { position, bytes: last.bytes + bytes });
    this.#bytes += bytes;
  }

  acknowledged(position: Position): void {
    const open = this.#entries.findIndex((entry) => comparePositions(entry.position, position) > 0);
    const done = this.#entries.splice(0, open < 0 ? this.#entries.length : open);
    for (const { bytes } of done) this.#bytes -= bytes;
  }
}
