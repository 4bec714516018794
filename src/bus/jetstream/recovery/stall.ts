// Whether a writer gets anywhere: for how long nothing could be stored, and what the bus said about it.

import { TransientError } from "../../../errors.ts";
import { apiCodes } from "../client/api-codes.ts";
import { PublishRefused } from "../stream/port.ts";

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

/** Errors that a writer cannot get over: what waits has to be read again. */
const FINAL: readonly string[] = ["BUS_AWAY", "BUS_PAYLOAD_LOWERED"];

/** Whether a writer finds out where the stream ends, and goes on from there. */
export function isPassing(error: unknown): error is PublishRefused | TransientError {
  return error instanceof PublishRefused || (error instanceof TransientError && !FINAL.includes(error.code));
}

/** What a refusal says that is not about the order, which only another try can settle; undefined for all else. */
export function refusal(thrown: unknown, stream: string): TransientError | undefined {
  if (!(thrown instanceof PublishRefused)) return undefined;
  const { apiCode, message } = thrown;
  if (apiCode === apiCodes.wrongLastSequence || apiCode === apiCodes.wrongLastSequenceUnknown) return undefined;
  if ((apiCodes.noRoom as readonly number[]).includes(apiCode)) {
    return new TransientError("STREAM_FULL", `the stream ${stream} takes nothing more: ${message}`, {
      hint: "raise its max_bytes, or the server's max_file_store, or free its disk; nothing is lost, the source waits",
      cause: thrown,
    });
  }
  return new TransientError("BUS_REFUSED", `the stream ${stream} refuses what is sent: ${message}`, {
    hint: "see what the server's code in the brackets means, and the stream's limits; nothing is lost, the source waits",
    cause: thrown,
  });
}
