// A request's body as its raw bytes, within the bounds of one request and of all together.

import type { IncomingMessage } from "node:http";

/** The bytes that all requests together may hold, until they are answered. */
export class ByteBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Whether there was room for them. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  release(bytes: number): void {
    this.#left += bytes;
  }
}

/** What came; else why not: more than one request may have, more than there is room for, or the sender left. */
export type ReadBody =
  | { readonly body: Buffer; readonly held: number }
  | { readonly failed: "size" | "busy" | "broken-off" };

const FIRST_BYTES = 16 * 1024;

/**
 * Reads the whole body. What it holds is taken from the budget, and the caller's to release once there is a body. The bytes
 * are copied to one place as they come: a body in chunks of one byte would else be an object a byte.
 */
export function readBody(request: IncomingMessage, maxBytes: number, budget: ByteBudget): Promise<ReadBody> {
  return new Promise((resolve) => {
    let buffer = Buffer.alloc(0);
    let length = 0;
    const end = (read: ReadBody): void => {
      request.off("data", more).off("end", whole).off("close", left).off("error", left);
      if ("failed" in read) {
        budget.release(buffer.length);
        request.on("error", () => {}); // nobody waits for the rest
      }
      resolve(read);
    };
    const more = (chunk: Buffer): void => {
      const needed = length + chunk.length;
      if (needed > maxBytes) {
        end({ failed: "size" });
        return;
      }
      if (needed > buffer.length) {
        const bytes = Math.min(maxBytes, Math.max(FIRST_BYTES, needed, 2 * buffer.length));
        if (!budget.take(bytes - buffer.length)) {
          end({ failed: "busy" });
          return;
        }
        const grown = Buffer.allocUnsafeSlow(bytes);
        buffer.copy(grown, 0, 0, length);
        buffer = grown;
      }
      chunk.copy(buffer, length);
      length = needed;
    };
    const whole = (): void => end({ body: buffer.subarray(0, length), held: buffer.length });
    const left = (): void => end({ failed: "broken-off" });
    request.on("data", more).on("end", whole).on("close", left).on("error", left);
  });
}
