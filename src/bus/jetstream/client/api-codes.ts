// JetStream's error codes, as far as somebody here decides by them.

/** JetStream's `err_code`s that are decided by. */
export const apiCodes = {
  consumerNotFound: 10014,
  /** One of that name, set otherwise: to a request for a new one, and to one of an older kind. */
  consumerExists: [10148, 10013],
  noMessageFound: 10037,
  streamNotFound: 10059,
  streamNameInUse: 10058,
  wrongLastSequence: 10071,
  wrongLastSequenceUnknown: 10164,
  /** Both: of a subject, the second while what stands on it is under way. */
  wrongLast: [10071, 10164] as readonly number[],
  /**
   * Nothing of a batch is stored, and it may be taken next time: batches or ages of messages are off, it is incomplete,
   * there are too many at once, or too much.
   */
  batchNotTaken: [10174, 10165, 10166, 10176, 10210, 10211, 10167] as readonly number[],
  /** The stream is at its limit and discards what is new; the server is out of storage. */
  noRoom: [10077, 10047, 10023],
} as const;
