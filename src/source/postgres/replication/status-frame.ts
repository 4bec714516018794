// What the worker tells the server: how far it received the log, and how far the log may be dropped.

const BYTES = 34;
/** From 1970 to 2000, the epoch of Postgres. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

export interface Status {
  /** The newest LSN seen in the log. */
  readonly received: bigint;
  /** Exclusive end of what is stored for good; 0n says nothing, which keeps the connection alive all the same. */
  readonly acknowledged: bigint;
  /** Asks the server for an answer at once. */
  readonly replyWanted: boolean;
}

/** A Standby status update. */
export function statusFrame({ received, acknowledged, replyWanted }: Status): Buffer {
  const frame = Buffer.alloc(BYTES);
  frame.write("r", 0, "latin1");
  frame.writeBigUInt64BE(received, 1);
  frame.writeBigUInt64BE(acknowledged, 9);
  frame.writeBigUInt64BE(acknowledged, 17);
  frame.writeBigInt64BE(BigInt(Date.now() - POSTGRES_EPOCH_MS) * 1000n, 25);
  frame.writeUInt8(replyWanted ? 1 : 0, 33);
  return frame;
}
