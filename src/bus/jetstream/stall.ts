// Whether a writer gets anywhere: for how long nothing could be stored, and what the bus said about it.

import { TransientError } from "../../errors.ts";
import { apiCodes } from "./api-codes.ts";
import { PublishRefused } from "./port.ts";

export class Stall {
  #recovering = false;
  #sinceMs = 0;

  /** Something begins to wait, or was stored. */
  begin(nowMs: number): void {
    this.#sinceMs = nowMs;
  }

  /** The end of the stream is looked for. @param waiting whether something waits to be stored, and has for longer */
  lookingSince(nowMs: number, waiting: boolean): void {
    if (!waiting) this.#sinceMs = nowMs;
    this.#recovering = true;
  }

  found(): void {
    this.#recovering = false;
  }

  ms(nowMs: number, waiting: boolean): number {
    return waiting || this.#recovering ? nowMs - this.#sinceMs : 0;
  }
}

/** A refusal that is about the stream's room, not about its order; undefined for all others. */
export function streamFull(thrown: unknown, stream: string): TransientError | undefined {
  const full =
    thrown instanceof PublishRefused && (apiCodes.noRoom as readonly number[]).includes(thrown.apiCode)
      ? thrown
      : undefined;
  return (
    full &&
    new TransientError("STREAM_FULL", `the stream ${stream} takes nothing more: ${full.message}`, {
      hint: "raise its max_bytes, or free the server's disk; nothing is lost, the source waits",
      cause: full,
    })
  );
}
