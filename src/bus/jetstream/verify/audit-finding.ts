// What can be wrong with a source's stream, what that means, and what to do about it.

/** What each finding means, and what to do about it. */
const meanings = {
  SEQUENCE_HOLE: {
    means: "messages were removed from inside the stream: no subscriber can get them any more",
    fix: "Find out who deleted them or damaged the store; put back a backup of it, or copy the rows concerned again.",
  },
  POSITION_FALLS: {
    means: "the source's log goes backwards here: events behind this place are out of order or stored twice",
    fix: "Report it with this output; automations concerned must be idempotent, or started again behind it.",
  },
  CHAIN_BROKEN: {
    means: "this batch was not made from what stands before it: messages are lost between the two, or it came late",
    fix: "Compare the rows committed between the two positions with the database, and report it with this output.",
  },
  EVENT_REPEATED: {
    means:
      "positions of events rise like the source's log, this one's does not: it is in the stream twice, or out of order",
    fix: "Subscribers can drop it by its id; report it with this output.",
  },
  TRANSACTION_MARKS: {
    means: "subscribers that wait for the end of a transaction end it at the wrong event",
    fix: "Report it with this output; until then do not group by transaction here.",
  },
  TRANSACTION_TORN: {
    means: "a transaction begins before the one before it has ended: the rest of that one is missing",
    fix: "Compare the rows of the torn transaction with the database, and report it with this output.",
  },
  PARTITION_EARLY: {
    means:
      "what comes out of a partition is read before that has ended: changes of one row may stand in the wrong order",
    fix: "Report it with this output; compare the rows of the two partitions with the database.",
  },
  PARTITION_ENDED: {
    means: "a partition goes on behind its own end: its last changes are out of order, or stored twice",
    fix: "Report it with this output; automations concerned must be idempotent, or started again behind it.",
  },
  BATCH_INCOMPLETE: {
    means: "a part of an atomic batch is missing, which the bus promises never to happen",
    fix: "The stream's store is damaged: put back a backup of it, or copy the rows concerned again.",
  },
  LEASE_FALLS: {
    means: "a worker that had been replaced has written after its successor: the fence did not hold",
    fix: "Stop all workers but one; report it with this output.",
  },
  ROW_GONE: {
    means: "by the stream the row is there, and the table does not have it: its deletion is missing in the stream",
    fix: "Delete it in what is made from the stream too, and report it with this output.",
  },
  ROWS_LOST: {
    means: "the source went on behind a gap here: what was committed in it never becomes an event by itself",
    fix: "Copy the table (millrace backfill start, with --from-gap for the newest gap), or write these rows again (an UPDATE that changes nothing is enough), or tell subscribers to read the table; what was updated or deleted in the gap is not among them. A row that an ALTER TABLE has rewritten since counts as written then.",
  },
  ROW_UNEXPECTED: {
    means: "by the stream the row was deleted, and the table has it: what made it again is missing in the stream",
    fix: "Write the row again (an UPDATE that changes nothing is enough), and report it with this output.",
  },
  HEADERS_MISSING: {
    means: "an event of ours lacks what says where it stands",
    fix: "See which program or rule (a subject transform, a republish) changes messages on their way into the stream.",
  },
  BODY_MISSING: {
    means: "a large event points to a body that is not in the object store, or not whole: nobody can read it any more",
    fix: "Find out who deleted objects of millrace_large, or damaged its store; put back a backup, or write the row again.",
  },
  BUS_FOREIGN_WRITE: {
    means: "something else than Millrace has published into the source's stream",
    fix: "Take the right to publish on these subjects from all but the worker; subscribers can skip it: it has no ce-source.",
  },
} as const;

export type AuditFindingCode = keyof typeof meanings;

export interface AuditFinding {
  readonly code: AuditFindingCode;
  /** The number of the message that does not fit; for a hole, of its first missing one. */
  readonly sequence: number;
  readonly what: string;
  readonly means: string;
  readonly fix: string;
}

export function auditFinding(code: AuditFindingCode, sequence: number, what: string): AuditFinding {
  return { code, sequence, what, ...meanings[code] };
}
