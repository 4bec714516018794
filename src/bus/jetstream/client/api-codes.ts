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
  /** The stream is at its limit and discards what is new; the server is out of storage. */
  noRoom: [10077, 10047, 10023],
} as const;
