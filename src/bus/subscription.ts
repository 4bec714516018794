// The contract of a subscription: what is asked for, each handing-over of a message, and what is said of gaps and obstacles.

import type { Carried } from "../event/retry-message.ts";
import type { SourceId } from "../event/source-id.ts";

/** One handing-over of a message to an automation. */
export interface Delivery {
  readonly subject: string;
  /** A header's value, percent-decoding left to the reader. */
  header(name: string): string | undefined;
  /** All headers as they came, for a dead letter. */
  headers(): Readonly<Record<string, string>>;
  readonly data: Uint8Array;
  /** The name of the stream that the event stands in, and its number there: also of one that waited in MILLRACE_RETRY. */
  readonly stream: string;
  readonly sequence: number;
  /**
   * Sequence of the one that its durable handed out right before it, where that was to us: no event that the filters let
   * through stands between the two. Undefined where that is not known.
   */
  readonly follows: number | undefined;
  /** The replay that it is part of, or the seek that it is handed out behind; undefined for the event's first run. With stream and sequence it names what is handled. */
  readonly run?: string | undefined;
  /** What came along out of MILLRACE_RETRY; undefined for the stream's own delivery. */
  readonly carried?: Carried | undefined;
  /** Gives a carried one the body that did not come along. */
  withBody?(data: Uint8Array): void;
  /** Whether it may have been handed out before, be it only to a worker that never began it: then it may be on record. */
  readonly again: boolean;
  /** Whether it may have been handed out, and settled, by a durable that this one replaces. */
  readonly remade: boolean;
  /** It is what another delivery had in hand, whose subscription is over: whoever has that one goes on with this one's right. */
  succeed(older: Delivery): void;
  /**
   * Whether it is surely still ours: the bus has not begun to hand it out to another worker since it came, or since the
   * last sign of life that it heard. Once it is not, no handler may begin and no failure may be told.
   */
  readonly ours: boolean;
  /** Whether a handler may begin for it now: it is ours, and nothing that has to end before it may be in another's hand. */
  readonly free: boolean;
  /** Waits, where it is not ours any more, for it to be handed out to us once more; whether it is ours now. */
  regained(withinMs: number): Promise<boolean>;
  /**
   * Resolves when the server has confirmed the ack; asks again until then, for a while.
   * @throws TransientError `BUS_ACK_INTERRUPTED` when the connection broke before that: what was told of the event before it
   * may be lost, and is told again first; another one when the subscription is over, or the event has to come again
   */
  ack(): Promise<void>;
  /** Whether this very event still stands at its sequence: a server that was set back gives the number to another one. @throws TransientError */
  stands(): Promise<boolean>;
  /** Comes again after the delay; where it is not ours any more, only let go. */
  retry(delayMs: number): void;
  /** Still being worked on: the server must not hand it out again. */
  working(): void;
  /** Never again. Only after its dead letter is stored. Confirmed like `ack`: when it were lost, the event would be handled anew. */
  terminate(reason: string): Promise<void>;
}

export interface ConsumeOptions {
  /** `retryId` for what waits for this automation in MILLRACE_RETRY. */
  readonly source: SourceId;
  /** The durable's name: the automation's id; behind a seek with its number. */
  readonly durable: string;
  /** What all of its deliveries have as their `run`. */
  readonly run?: string | undefined;
  readonly filters: readonly string[];
  /**
   * Where a durable begins of which nothing is on record: behind the newest message, at the first, at a sequence, or at the first
   * message that was stored at a time or later.
   */
  readonly start: "now" | "earliest" | number | Date;
  /** Deliveries that may be out at once, more while they end quickly; those that wait for a retry do not count. */
  readonly minPending: number;
  readonly ackWaitMs: number;
  /** One subscription at a time is handed anything, of all workers; undefined: they share what comes. */
  readonly ordered?: OrderedConsuming;
  /** Ends the wait for a stream that does not exist yet, and the subscription itself. */
  readonly signal: AbortSignal;
  /** Called, at most once, when the bus has said that there is no such stream: it is waited for then, and handed out from its first message on. */
  readonly waiting?: () => void;
}

/** What a subscription has in hand and asks for at most, in bytes, whatever the messages' number; one alone may be larger. */
export const MOST_BYTES_IN_HAND: number = 32 * 1024 * 1024;

/** What an ordered subscription has to know of whoever takes what it hands out. */
export interface OrderedConsuming {
  /** How many may be in hand at once: all that was handed out and is not settled. */
  readonly most: number;
  /**
   * How many deliveries of it are in hand and `ours`, whatever subscription handed them out; undefined while one is being settled.
   */
  inHand(): number | undefined;
}

/** What stops an automation, though nothing of it is broken. */
export interface Obstacle {
  readonly code:
    | "AUTOMATION_PAUSED"
    | "AUTOMATION_ENDPOINT_PAUSED"
    | "AUTOMATION_RETRIES_FULL"
    | "AUTOMATION_WAITS_ALONE"
    | "AUTOMATION_KEYS_BLOCKED"
    | "AUTOMATION_KEYS_FULL"
    | "BUS_PERMISSION";
  readonly message: string;
}

/** Sequences of a stream, both ends included. */
export interface StreamGap {
  readonly first: number;
  readonly last: number;
  /** How many of them were taken out, where others between them are still there; undefined: all. */
  readonly removed?: number;
}

/**
 * A running subscription, handing out all that is there: iterate it at once and without pausing (a delivery that nobody
 * has taken is kept alive by nobody).
 * A message is not handed out again while its delivery is open. The iteration ends by the signal or by throwing;
 * acks still work after that.
 */
export interface Subscription extends AsyncIterable<readonly Delivery[]> {
  /** Why the durable was made again, or put right, for this subscription; for a person. */
  readonly madeAgain: string | undefined;
  /**
   * Of an ordered one: since which time, by number, all that the bus counts as handed out is in hand; undefined while it is
   * not: then nothing may begin. Each time has its own number, and the iteration yields an empty list at its beginning.
   */
  readonly whole: number | undefined;
  /** What keeps it from handing out what waits, as of the last look. */
  obstacle(): Obstacle | undefined;
  /**
   * What left the stream before it was known to be settled; told again until it is accepted. Of the sequences named, those
   * that the filters let through are lost to this durable, but for what was settled since the last look.
   * @throws TransientError while the bus is away, and when the durable is not what it was: then the iteration throws it too
   */
  missed(): Promise<StreamGap | undefined>;
  /** All of its own up to and including this sequence was settled at the last look, by whichever worker; 0 before the first one. */
  settledThrough(): number;
  /** A gap is on record: the subscription goes on behind it. @throws TransientError */
  accept(gap: StreamGap): Promise<void>;
  /** Messages not yet handed out, and handed out but not acked. */
  depth(): Promise<{ readonly pending: number; readonly unacked: number }>;
  /** Its durable is to go: what is open is nobody's any more, and no ack of it is waited for for long. */
  abandon(): void;
}
