// A consumer that applies a stream of documents in its order, and what it must never see: a document read that is older than what
// it holds, an older change behind a newer one, a document that is read twice.

import type { StreamEvent } from "../bus/stream-events.ts";
import { type CopyMarker, GapCopies } from "./gap-copies.ts";

type Document = Readonly<Record<string, unknown>>;

interface Body {
  readonly op: string;
  readonly key: Document;
  readonly after: Document | null;
  readonly update?: { readonly updatedFields: Document; readonly removedFields: readonly string[] };
}

/** Each document has a member `v` that grows with each write of it. */
export class CopiedDocuments {
  readonly wrong: string[] = [];
  /** How many documents were read. */
  reads = 0;
  /** Of the newest marker. */
  progress: CopyMarker | undefined;
  readonly #copies = new GapCopies();
  /** `database.collection`, by collection. */
  readonly #names = new Map<string, string>();
  readonly #held = new Map<string, Map<string, Document>>();
  /** By place, the version of the newest change or row. */
  readonly #newest = new Map<string, number>();
  readonly #ids = new Set<string>();

  constructor(events: readonly StreamEvent[]) {
    for (const event of events) this.#apply(event);
  }

  /** A collection's documents by their keys' JSON. */
  documents(collection: string): Readonly<Record<string, unknown>> {
    return Object.fromEntries([...(this.#held.get(collection) ?? [])].sort());
  }

  #apply({ subject, sequence, text, header }: StreamEvent): void {
    if (subject === "meta.shop.backfill") this.#tell(JSON.parse(text) as CopyMarker, sequence);
    if (!subject.startsWith("cdc.")) return;
    const [, , database, collection = ""] = subject.split(".");
    const body = JSON.parse(text) as Body;
    const documents = this.#held.get(collection) ?? new Map<string, Document>();
    this.#held.set(collection, documents);
    const key = JSON.stringify(body.key);
    const held = documents.get(key);
    this.#names.set(collection, `${database}.${collection}`);
    this.#copies.said(`${database}.${collection}`, key, sequence);
    const what = `${sequence}: ${body.op} of ${collection} ${key}`;
    this.#order(`${collection} ${key}`, what, Number(body.update?.updatedFields.v ?? body.after?.v ?? 0));
    if (body.op === "read") this.#read(what, header("ce-id") ?? "", body, held);
    if (body.op === "deleted") documents.delete(key);
    else if (body.after !== null) documents.set(key, body.after);
    else if (held !== undefined && body.update !== undefined) documents.set(key, applied(held, body.update));
  }

  #tell(marker: CopyMarker, sequence: number): void {
    this.progress = marker;
    const isGone = this.#copies.tell(marker, sequence);
    for (const [collection, documents] of this.#held)
      for (const key of documents.keys()) if (isGone(this.#names.get(collection) ?? "", key)) documents.delete(key);
  }

  /** What a change itself has written: what was looked up for it may be newer. */
  #order(place: string, what: string, v: number): void {
    if (v === 0) return; // a deletion
    const newest = this.#newest.get(place) ?? 0;
    if (v < newest) this.wrong.push(`${what} goes back from ${newest} to ${v}`);
    this.#newest.set(place, Math.max(v, newest));
  }

  #read(what: string, id: string, { after }: Body, held: Document | undefined): void {
    this.reads++;
    if (this.#ids.has(id)) this.wrong.push(`${what} is read twice`);
    this.#ids.add(id);
    if (held !== undefined && Number(after?.v) < Number(held.v)) this.wrong.push(`${what} is older than ${held.v}`);
  }
}

function applied(document: Document, { updatedFields, removedFields }: NonNullable<Body["update"]>): Document {
  const kept = Object.entries(document).filter(([name]) => !removedFields.includes(name));
  return { ...Object.fromEntries(kept), ...updatedFields };
}
