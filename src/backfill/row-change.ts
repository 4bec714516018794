// What a copy looks at of the changes of its collection: which row, and whether the change tells all of it.

import type { Op } from "../event/subject.ts";
import type { CopyTarget, StreamedChange } from "../source/capabilities.ts";
import type { SourceMessage } from "../source/source.ts";
import { isSame } from "./progress.ts";

/** Of an update that leaves out values which are stored apart, or the whole row; a row with such a text is only read once more. */
const LACKS = [Buffer.from('"unchanged":['), Buffer.from(',"after":null')];
const UNCHANGED = Buffer.from('"unchanged":[');
const MOVED_TO = Buffer.from('"movedTo":');

export interface RowChange extends StreamedChange {
  readonly op: Op;
  readonly key: string;
  /** Whether the row is there behind it, and it does not tell all of its values. */
  readonly lacks: boolean;
  /** Whether it takes a row away that the next change of the collection brings under another key. */
  readonly moves: boolean;
}

/** Undefined for all that is no change of the collection. It may have another name by now. */
export function rowChange(message: SourceMessage, target: CopyTarget): RowChange | undefined {
  if (message.type !== "change") return undefined;
  const { kind, key, position, transaction, data } = message;
  const { op, version } = kind;
  if (version === undefined ? !isSame(kind, target) : version.schema.id !== target.id) return undefined;
  const body = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const lacks = op === "updated" ? LACKS.some((text) => body.includes(text)) : op === "created" && lacksValues(body);
  const moves = op === "deleted" && has(body, MOVED_TO, "movedTo");
  return { op, key, position, transaction: transaction.id ?? "", lacks, moves };
}

/** Whether the body of a `created` leaves values out. */
export function lacksValues(data: Uint8Array): boolean {
  return has(Buffer.from(data.buffer, data.byteOffset, data.byteLength), UNCHANGED, "unchanged");
}

/** A row may have such a text too. */
function has(body: Buffer, text: Buffer, member: string): boolean {
  return body.includes(text) && member in (JSON.parse(body.toString()) as object);
}
