// What a process of automations is told, and what it notes: shared with its own process, which knows nothing of the tests.

export interface AutomationOrder {
  readonly url: string;
  /** One automation on created orders each, all with these settings. */
  readonly automations: readonly string[];
  readonly concurrency?: number;
  readonly order?: "key";
  readonly attempts?: number;
  readonly retryMs?: number;
  readonly ackWaitMs: number;
  readonly missedLookMs?: number;
}

/** One line for each start and each end of a handler. */
export interface Note {
  readonly what: "start" | "ok" | "failed";
  readonly automation: string;
  readonly id: number;
  readonly sequence: number;
  readonly attempt: number;
  readonly pid: number;
  /** ms since 1970 */
  readonly at: number;
}
