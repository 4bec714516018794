// The replication connection, as little as the decode loop needs of it; `pg-logical-replication` stands behind it.

import type { FrameQueue } from "./frame-queue.ts";

export interface ReplicationTransport {
  /** Where the frame of the last `next` stands. */
  readonly frames: FrameQueue;
  /** Steps to the next received frame; false when there is none. The server is slowed while too many wait. */
  next(): boolean;
  /** Resolves when there are frames; rejects once the connection is over and none are left. */
  ready(): Promise<void>;
  /**
   * Tells the server that the log may be dropped up to here.
   * @param end exclusive; one that is not above the last one is ignored
   * @throws BugError when it is beyond what was received
   */
  acknowledge(end: bigint): void;
  /** Ends the stream in order; after two seconds by force. Never rejects. */
  close(): Promise<void>;
}
