// Which collection an event is of: read once for each, and found again by the bytes that name it.

import { percentEncode } from "../../../event/percent.ts";
import type { ChangeKind } from "../../../event/source-event.ts";
import { documentAt, membersIn, type RawEvent, textIn } from "./raw-event.ts";

/** What a document's change can be. */
export type ChangeOp = "created" | "updated" | "deleted";

export interface Namespace {
  /** Empty where the event names none. */
  readonly database: string;
  readonly collection: string | undefined;
  /** Whether its documents' changes are read. */
  readonly isRead: boolean;
  /** Whether what is inserted into it are domain events. */
  readonly isOutbox: boolean;
  /** What its changes share. One object for all of an op. */
  readonly kinds: Readonly<Record<ChangeOp, ChangeKind>>;
}

/** A database that makes and drops collections without end must not fill the memory. */
const MAX_KNOWN = 10_000;

type Rule = (database: string, collection: string) => boolean;

export class Namespaces {
  readonly #reads: Rule;
  readonly #isOutbox: Rule;
  readonly #known = new Map<string, Namespace>();

  /** By which rules collections are read. */
  constructor({ reads, isOutbox = () => false }: { readonly reads: Rule; readonly isOutbox?: Rule }) {
    this.#reads = reads;
    this.#isOutbox = isOutbox;
  }

  /** Whether anything of a collection is read. */
  has(database: string, collection: string): boolean {
    return this.#reads(database, collection) || this.#isOutbox(database, collection);
  }

  /** The one that an event is of. */
  of(event: RawEvent): Namespace {
    const value = documentAt(event, "ns");
    const bytes = value === undefined ? "" : value.bytes.toString("latin1", value.from, value.to);
    const known = this.#known.get(bytes);
    if (known !== undefined) return known;
    const names = membersIn(event, "ns");
    const database = textIn(names, "db") ?? "";
    const collection = textIn(names, "coll");
    const kind = (op: ChangeOp): ChangeKind => {
      const place = placeOf(database, collection ?? "");
      return { namespace: database, collection: collection ?? "", op, version: undefined, place };
    };
    const made = {
      database,
      collection,
      isRead: collection !== undefined && this.#reads(database, collection),
      isOutbox: collection !== undefined && this.#isOutbox(database, collection),
      kinds: { created: kind("created"), updated: kind("updated"), deleted: kind("deleted") },
    };
    if (this.#known.size === MAX_KNOWN) this.#known.clear();
    this.#known.set(bytes, made);
    return made;
  }
}

/** How `ce-type` and `ce-subject` name it: its name may hold dots, which a database's never does, so only what divides it from the key is escaped. */
export function placeOf(database: string, collection: string): string {
  const name = collection.replace(/[~/]/g, (letter) => (letter === "~" ? "~7E" : "~2F"));
  return percentEncode(`${database}.${name}`);
}
