// What must hold of a source's stream, checked message by message: pure, and in memory that does not grow with the stream.

import { bare, comparePositions, isComplete, type Position } from "../../../event/position.ts";
import { comparePlace, type Positions, WHOLE } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { metaSubject } from "../../../event/subject.ts";
import { type AuditFinding, type AuditFindingCode, auditFinding } from "./audit-finding.ts";
import { Lineage } from "./lineage.ts";

/** A message without its body. */
export interface AuditMessage {
  readonly sequence: number;
  readonly subject: string;
  header(name: string): string | undefined;
}

export interface AuditCounts {
  messages: number;
  events: number;
  transactions: number;
  /** Atomic batches; a lone message is none. */
  batches: number;
}

/**
 * Feed it every message in the stream's order. Each change has a position of its own, which rises, so comparing with the one before finds any double
 * without remembering them all. After a finding it goes on from the message as it is, so that one fault is told once.
 */
export class StreamAudit {
  readonly counts: AuditCounts = { messages: 0, events: 0, transactions: 0, batches: 0 };
  readonly #source: SourceId;
  readonly #report: (finding: AuditFinding) => void;
  /** The number that comes next, and whether any has come. */
  #next = 1;
  #begun = false;
  /** The newest `Cdc-Pos`, as the next batch must name it. */
  #newest: Position | undefined;
  /** No position may lie below it: the newest one of its partition, or where a recorded loss was gone back to. */
  readonly #floor = new Map<string, Position>();
  /** The newest change in each partition. Ids alone need not rise: a connector's may be digests. */
  readonly #changes = new Map<string, { readonly position: Position; readonly id: string }>();
  #transaction: { readonly id: string; readonly ended: boolean } | undefined;
  #batch: { readonly id: string; readonly count: number } | undefined;
  #lease = 0;
  readonly #lineage: Lineage;

  constructor(source: SourceId, report: (finding: AuditFinding) => void) {
    this.#source = source;
    this.#lineage = new Lineage(report);
    this.#report = report;
  }

  /** Whether the newest message is inside an atomic batch. */
  get insideBatch(): boolean {
    return this.#batch !== undefined;
  }

  /** @param from the number that the first message should have */
  begin(from: number): void {
    this.#next = from;
  }

  /** Numbers before `sequence` that were expected and did not come. */
  missingBefore(sequence: number): { readonly from: number; readonly to: number } | undefined {
    return sequence > this.#next ? { from: this.#next, to: sequence - 1 } : undefined;
  }

  /** Tells of numbers that are not stored, though the stream begins before them. */
  hole({ from, to }: { readonly from: number; readonly to: number }): void {
    this.#find("SEQUENCE_HOLE", from, from === to ? `${from} is missing` : `${from} to ${to} are missing`);
  }

  /** What was there cannot be compared with: batch, transaction and chain begin anew behind it. */
  passOver(): void {
    this.#batch = undefined;
    this.#transaction = undefined;
    this.#newest = undefined;
    this.#begun = false;
  }

  /** @param about the body of a marker `meta.<source>.shard`, which says what becomes of its partition */
  see(message: AuditMessage, about?: Readonly<Record<string, unknown>>): void {
    const { sequence, subject } = message;
    this.counts.messages++;
    this.#checkBatch(message);
    this.#next = sequence + 1;
    this.#begun = true;
    if (message.header("ce-source") !== `/${this.#source}`) {
      this.#find("BUS_FOREIGN_WRITE", sequence, `${subject} is not a message of ours`);
      return;
    }
    if (subject === metaSubject(this.#source, "writer")) this.#checkLease(message);
    this.#checkPosition(message);
    if (subject === metaSubject(this.#source, "shard")) this.#lineage.see(message, about ?? {});
    else if (!subject.startsWith("meta.")) this.#lineage.see(message, undefined);
    const transaction = message.header("Cdc-Tx");
    if (isCopied(subject)) this.#checkCopied(message);
    else if (subject.startsWith("cdc.")) this.#checkEvent(message);
    if (transaction !== undefined) this.#checkTransaction(message, transaction);
    else if (!subject.startsWith("meta.") && !isCopied(subject)) this.#checkStandalone(message);
  }

  /** A `history` or `gap` marker: what went before does not go on; after a loss the source was read again from `resume`. */
  turn(resume: Positions | null | undefined): void {
    this.#transaction = undefined;
    if (resume === undefined) return;
    this.#floor.clear();
    this.#changes.clear();
    this.#lineage.forget();
    for (const [partition, position] of resume ?? []) {
      this.#floor.set(partition, position);
      this.#changes.set(partition, { position, id: `${this.#source}.${bare(position)}` });
    }
  }

  /** The stream ends here, not only the walk. */
  end(): void {
    if (this.#batch !== undefined) this.#tornBatch(this.#batch, this.#next - 1);
  }

  #find(code: AuditFindingCode, sequence: number, what: string): void {
    this.#report(auditFinding(code, sequence, what));
  }

  #checkBatch(message: AuditMessage): void {
    const id = message.header("Nats-Batch-Id");
    const nth = Number(message.header("Nats-Batch-Sequence"));
    const open = this.#batch;
    const follows = open !== undefined && open.id === id && nth === open.count + 1;
    if (open !== undefined && !follows) this.#tornBatch(open, message.sequence);
    this.#batch = undefined;
    if (id === undefined) return;
    // The first message of the walk may stand anywhere in its batch.
    if (!follows && nth !== 1 && this.#begun) {
      this.#find("BATCH_INCOMPLETE", message.sequence, `the batch ${id} begins with its message ${nth}`);
    }
    if (message.header("Nats-Batch-Commit") === undefined) this.#batch = { id, count: nth };
    else this.counts.batches++;
  }

  #tornBatch({ id, count }: { readonly id: string; readonly count: number }, sequence: number): void {
    this.#find("BATCH_INCOMPLETE", sequence, `the batch ${id} ends behind its message ${count}, without a commit`);
  }

  #checkLease(message: AuditMessage): void {
    const lease = Number(/\.writer\.(\d+)\./.exec(message.header("ce-id") ?? "")?.[1]);
    if (Number.isNaN(lease)) {
      this.#find("HEADERS_MISSING", message.sequence, "a writer marker without a lease number in its ce-id");
      return;
    }
    if (lease < this.#lease) {
      this.#find("LEASE_FALLS", message.sequence, `the marker of lease ${lease} stands behind that of ${this.#lease}`);
    }
    this.#lease = lease;
  }

  #checkPosition(message: AuditMessage): void {
    const position = message.header("Cdc-Pos") as Position | undefined;
    if (position === undefined) {
      if (!message.subject.startsWith("meta.")) this.#find("HEADERS_MISSING", message.sequence, "it has no Cdc-Pos");
      return;
    }
    const previous = message.header("Cdc-Prev");
    const nth = message.header("Nats-Batch-Sequence") ?? "1";
    if (nth === "1" && this.#newest !== undefined && previous !== this.#newest) {
      const says = previous === undefined ? "it names none" : `it names ${previous}`;
      this.#find("CHAIN_BROKEN", message.sequence, `the newest Cdc-Pos before it is ${this.#newest}; ${says}`);
    }
    const place = { partition: message.header("Cdc-Part"), position };
    const partition = place.partition ?? WHOLE;
    if (comparePlace(place, this.#floor) < 0)
      this.#find("POSITION_FALLS", message.sequence, `${position} follows ${this.#floor.get(partition)}`);
    this.#floor.set(partition, position);
    this.#newest = position;
  }

  #checkEvent(message: AuditMessage): void {
    this.counts.events++;
    const id = message.header("ce-id") ?? "";
    if (id === "") {
      this.#find("HEADERS_MISSING", message.sequence, "it has no ce-id");
      return;
    }
    const position = message.header("Cdc-Pos") as Position | undefined;
    if (position === undefined) return; // told already
    const partition = message.header("Cdc-Part") ?? WHOLE;
    const newest = this.#changes.get(partition);
    if (newest !== undefined && comparePositions(position, newest.position) <= 0)
      this.#find("EVENT_REPEATED", message.sequence, `${id} follows ${newest.id}`);
    this.#changes.set(partition, { position, id });
  }

  /** A copied row repeats the place where it stands, and its id is made of its key: so neither rises. */
  #checkCopied({ sequence, header }: AuditMessage): void {
    this.counts.events++;
    if (header("ce-id") === undefined) this.#find("HEADERS_MISSING", sequence, "it has no ce-id");
    const position = header("Cdc-Pos") as Position | undefined;
    const inside = position !== undefined && !isComplete(position);
    if (inside || this.#transaction?.ended === false)
      this.#find("TRANSACTION_MARKS", sequence, "a copied row stands inside of a transaction");
  }

  #checkTransaction(message: AuditMessage, id: string): void {
    const { sequence } = message;
    const position = message.header("Cdc-Pos") as Position | undefined;
    const last = message.header("Cdc-Tx-Last") === "1";
    if (position !== undefined && isComplete(position) !== last) {
      const what = last ? "Cdc-Tx-Last without a + in Cdc-Pos" : "a + in Cdc-Pos without Cdc-Tx-Last";
      this.#find("TRANSACTION_MARKS", sequence, what);
    }
    const before = this.#transaction;
    if (before?.ended === false && before.id !== id) {
      this.#find("TRANSACTION_TORN", sequence, `${id} begins, ${before.id} has not ended`);
    }
    // A database whose ids are its own may have several transactions of one name.
    const isNamedOnce = message.header("ce-id") === `${this.#source}.${bare(position ?? ("" as Position))}`;
    if (before?.ended === true && before.id === id && isNamedOnce) {
      this.#find("TRANSACTION_MARKS", sequence, `${id} goes on behind its last event`);
    }
    if (last) this.counts.transactions++;
    this.#transaction = { id, ended: last };
  }

  /** An event of a database that groups nothing: complete by itself, and not between the events of a transaction. */
  #checkStandalone(message: AuditMessage): void {
    const { sequence } = message;
    const position = message.header("Cdc-Pos") as Position | undefined;
    if (position !== undefined && !isComplete(position))
      this.#find("HEADERS_MISSING", sequence, "it has no Cdc-Tx, and its Cdc-Pos no +");
    if (message.header("Cdc-Tx-Last") !== undefined)
      this.#find("TRANSACTION_MARKS", sequence, "Cdc-Tx-Last without Cdc-Tx");
    const before = this.#transaction;
    if (before?.ended === false)
      this.#find("TRANSACTION_TORN", sequence, `an event by itself, ${before.id} has not ended`);
    this.#transaction = undefined;
  }
}

/** Whether it is a row that a copy has seen, and no change. */
function isCopied(subject: string): boolean {
  return subject.startsWith("cdc.") && subject.split(".")[4] === "read";
}
