// One message of a source's stream as the bus carries it: subject and headers are made, but for what says where it stands.

import type { DataRef } from "./data-ref.ts";
import type { Position } from "./position.ts";

/** Either an event or a marker (`meta.…`). */
export interface StreamMessage {
  readonly type: "message";
  readonly subject: string;
  /** `ce-id`. */
  readonly id: string;
  /** Header lines in ISO-8859-1, each ended by CRLF: `ce-*`, `content-type`, `Cdc-Tx`, `Cdc-Tx-Last`, `Cdc-Part`. The bus adds the rest. */
  readonly head: string;
  /** Finished JSON text, UTF-8; empty where `ref` says where it is. */
  readonly data: Uint8Array;
  /** Where a body is that is too large for a message. */
  readonly ref: DataRef | undefined;
  /** When its transaction was committed, RFC 3339; undefined for a marker. */
  readonly committedAt: string | undefined;
  /** `Cdc-Part`; undefined where the source has no partitions. */
  readonly partition: string | undefined;
  /** `Cdc-Pos`, with its `+`. */
  readonly position: Position;
  /** Only of an event that says which trace it belongs to. */
  readonly trace?: MessageTrace;
}

/** The trace of an event on its way to the bus. */
export interface MessageTrace {
  /** W3C's `traceparent`. */
  readonly parent: string;
  /** When it had been read, in ms. */
  readonly readAt: number;
}
