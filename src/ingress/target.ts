// What a path leads to: who decides what becomes of a request there.

import type { Answer, Refusal } from "./answer.ts";
import type { IncomingRequest } from "./provider/provider.ts";
import type { Incoming, Stored } from "./store.ts";

/** Events to store, and what is answered once they are. */
export interface ToStore {
  readonly incoming: readonly Incoming[];
  answer(stored: Stored): Answer | Refusal;
}

export interface Target {
  /** The receiver's name; of typed POSTs `_post`. */
  readonly name: string;
  readonly maxBytes: number;
  /** The status above a limit: some senders try again at 5xx alone. */
  readonly overLimit: 429 | 503;
  /** Methods, for 405. */
  readonly allow: string;
  /** What is wrong before the body is read. */
  admit(request: IncomingRequest): Refusal | undefined;
  /** The answer to OPTIONS; absent where it is not allowed. */
  options?(request: IncomingRequest): Answer | Refusal;
  /** Verifies the whole request, and says what is to be stored. */
  take(request: IncomingRequest): Answer | Refusal | ToStore | Promise<Answer | Refusal | ToStore>;
}

export function isRefusal(result: Answer | Refusal | ToStore): result is Refusal {
  return "reason" in result;
}

export function acknowledged({ status }: Stored): Answer {
  return { status: 200, body: JSON.stringify({ status }) };
}
