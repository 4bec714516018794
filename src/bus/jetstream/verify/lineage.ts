// Partitions that come out of others: each begins behind the end of the one before it, and has nothing behind its own. Markers
// `meta.<source>.shard` say so; positions do not, for each partition has its own.

import { escapeToken } from "../../../event/subject.ts";
import { type AuditFinding, auditFinding } from "./audit-finding.ts";

/** A message without its body. */
export interface PlacedMessage {
  readonly sequence: number;
  header(name: string): string | undefined;
}

/** Its memory grows with the partitions that there were, not with the stream. */
export class Lineage {
  readonly #report: (finding: AuditFinding) => void;
  /** Of partitions that the walk has seen something of. */
  readonly #ended = new Map<string, boolean>();

  constructor(report: (finding: AuditFinding) => void) {
    this.#report = report;
  }

  /** A loss was gone back behind: what stands before it may be read again. */
  forget(): void {
    this.#ended.clear();
  }

  /** @param about the body of a marker of a partition; undefined for any other message */
  see({ sequence, header }: PlacedMessage, about: Readonly<Record<string, unknown>> | undefined): void {
    const partition = header("Cdc-Part");
    if (partition === undefined) return;
    const isOver = this.#ended.get(partition) === true;
    if (isOver && about?.state !== "ends")
      this.#report(auditFinding("PARTITION_ENDED", sequence, `it stands behind the end of ${partition}`));
    if (about?.state === "begins" && typeof about.parent === "string") {
      const parent = partition.slice(0, partition.lastIndexOf("/") + 1) + escapeToken(about.parent);
      // One that the walk has seen nothing of was read to its end before, or never.
      if (this.#ended.get(parent) === false)
        this.#report(auditFinding("PARTITION_EARLY", sequence, `${partition} begins, ${parent} has not ended`));
    }
    this.#ended.set(partition, isOver || about?.state === "ends");
  }
}
