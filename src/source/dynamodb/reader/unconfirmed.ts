// How many bytes were handed out and are not acknowledged, shard by shard.

import type { Position } from "../../../event/position.ts";
import { comparePlace, type Positions } from "../../../event/positions.ts";
import type { SourceMessage } from "../../source.ts";

interface Span {
  upTo: Position;
  bytes: number;
}

/** Of one partition, spans of at least this size are told apart. */
const SPAN_BYTES = 64 * 1024;

export class Unconfirmed {
  readonly #spans = new Map<string, Span[]>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: readonly SourceMessage[]): void {
    for (const message of chunk) {
      if (message.partition === undefined || message.position === undefined || !("data" in message)) continue;
      const { length } = message.data;
      const spans = this.#spans.get(message.partition) ?? [];
      this.#spans.set(message.partition, spans);
      const last = spans.at(-1);
      if (last === undefined || last.bytes >= SPAN_BYTES) spans.push({ upTo: message.position, bytes: length });
      else {
        last.upTo = message.position;
        last.bytes += length;
      }
      this.#bytes += length;
    }
  }

  acknowledged(positions: Positions): void {
    for (const partition of positions.keys()) {
      const spans = this.#spans.get(partition) ?? [];
      const open = spans.findIndex(({ upTo }) => comparePlace({ partition, position: upTo }, positions) > 0);
      const done = open < 0 ? spans : spans.slice(0, open);
      for (const { bytes } of done) this.#bytes -= bytes;
      if (open < 0) this.#spans.delete(partition);
      else this.#spans.set(partition, spans.slice(open));
    }
  }
}
