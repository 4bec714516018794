// How a message leaves, whatever the endpoint's kind.

/** What names one message on its way out, and when. */
export interface About {
  /** `webhook-id` */
  readonly id: string;
  /** The event's, RFC 3339, where it has one. */
  readonly time: string | undefined;
  /** What the event is, where it says so. */
  readonly type: string | undefined;
  /** Of this attempt, ms since 1970. */
  readonly at: number;
}

/** What came back. Of mail the status is the server's reply code. */
export interface Carried {
  readonly status: number;
  /** Whether it took the message. */
  readonly taken: boolean;
  readonly text: string;
  readonly retryAfterMs: number | undefined;
}

export interface Carrier {
  /**
   * @param message as `send()` was given it
   * @param signal ends the request
   * @throws Fatal for a message that this kind does not take; what connecting or asking fails by
   */
  carry(message: unknown, about: About, signal: AbortSignal): Promise<Carried>;
  close(): Promise<void>;
}
