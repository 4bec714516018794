// A database without a server for copies: collections with large values that changes leave out, a log of what was committed, and
// slices of one moment each.

import { setImmediate as turn } from "node:timers/promises";
import { PoisonError, TransientError } from "../../../src/errors.ts";
import type { Position } from "../../../src/event/position.ts";
import { positionsFrom } from "../../../src/event/positions.ts";
import type { CollectionVersion } from "../../../src/event/source-event.ts";
import type { Op } from "../../../src/event/subject.ts";
import type { CopyTarget, RowCopier, Slice, SliceRequest } from "../../../src/source/capabilities.ts";
import type { SourceMessage } from "../../../src/source/source.ts";
import type { Random } from "../bus/scripted-bus.ts";
import { type Effect, ShownRows } from "./shown-rows.ts";

export interface CopiedBody {
  readonly op: Op;
  readonly key: string;
  readonly after: { readonly v: number; readonly doc?: string } | null;
  readonly unchanged?: readonly string[];
  readonly movedTo?: string;
  readonly movedFrom?: string;
}

interface Row {
  readonly v: number;
  /** Large: an update that leaves it alone does not carry it. Empty: small, and always carried. */
  readonly doc: string;
}

/** Of `opaque` rows cannot be asked for by their keys. */
export const COLLECTIONS = ["docs", "opaque", "small"];

export const targetsOfModel: readonly CopyTarget[] = COLLECTIONS.map((collection, nth) => ({
  ...{ id: `${nth}`, namespace: "public", collection },
}));

const versions: readonly CollectionVersion[] = targetsOfModel.map((target) => ({
  schema: { ...target, identity: "key", key: ["id"], columns: [] },
  uri: "kv:schemas/1",
}));

export class CopiedDatabase implements RowCopier {
  readonly readsAhead = true;
  /** Of workers, each with a signal of its own, for which a slice is being read. */
  readonly #reading = new Set<AbortSignal>();
  readonly rows = new Map(COLLECTIONS.map((collection) => [collection, new Map<string, Row>()]));
  /** What was committed, in its order. */
  readonly log: (SourceMessage & { readonly position: Position })[] = [];
  readonly #random: Random;
  readonly #plain: boolean;
  /** How many rows a collection has at most: few are often made anew under a key that was there. */
  readonly #keys: number;
  readonly #shown: ShownRows<Row>;
  /** By position, what a row is of which the log's change cannot be read. */
  readonly unread = new Map<Position, CopiedBody>();
  /** How much of the log anybody was handed out. */
  #handed = 0;
  #effects: Effect<Row>[] = [];
  #transactions = 0;
  #v = 0;

  /** @param plain each commit can be seen at once, and read */
  constructor(random: Random, plain = false) {
    this.#random = random;
    this.#plain = plain;
    this.#keys = random.chance(0.5) ? 8 : 40;
    for (const rows of this.rows.values())
      for (let nth = 0; nth < this.#keys; nth++)
        if (random.chance(0.7)) rows.set(keyOf(nth), this.#row(random.chance(0.8)));
    this.#shown = new ShownRows(random, this.rows, plain ? 0 : 0.3);
  }

  /** Somebody was handed out the log up to and without this index. */
  handedOut(end: number): void {
    this.#handed = Math.max(this.#handed, end);
  }

  /** One transaction of some changes. */
  write(): void {
    const random = this.#random;
    const id = `${++this.#transactions}`;
    const from = this.log.length;
    for (let left = 1 + random.below(4); left > 0; left--) this.#change(id);
    const last = this.log.at(-1);
    if (last !== undefined && this.log.length > from)
      this.log[this.log.length - 1] = { ...last, position: `${last.position}+` as Position };
    this.#shown.commit(id, this.#effects);
    this.#effects = [];
  }

  async targets(): Promise<readonly CopyTarget[]> {
    await this.#pause();
    return targetsOfModel;
  }

  /** @throws Error where another slice is being read */
  async readSlice(request: SliceRequest): Promise<Slice> {
    const { signal } = request;
    if (this.#reading.has(signal)) throw new Error("two slices are read at a time");
    this.#reading.add(signal);
    try {
      return await this.#read(request);
    } finally {
      this.#reading.delete(signal);
    }
  }

  async #read({ target, after, keys, maxRows, backfill }: SliceRequest): Promise<Slice> {
    const random = this.#random;
    const marked = this.log.slice(0, this.#handed);
    await this.#pause();
    this.#shown.show();
    const { hidden } = this.#shown;
    // As a copier says it: nobody would take out what that has changed.
    if (marked.some((message) => hidden.has(transactionOf(message))))
      throw new TransientError("UNSEEN", "a commit that was handed out cannot be seen", { hint: "none" });
    if (random.chance(0.05)) throw new TransientError("AWAY", "no answer", { hint: "none" });
    const place = after?.key as string | undefined;
    const readsKeys = target.collection !== "opaque";
    const asked = [...this.#shown.of(target.collection)]
      .filter(([key]) => (keys ? keys.includes(key) && (place === undefined || key <= place) : key > (place ?? "")))
      .sort(([one], [other]) => (one < other ? -1 : 1));
    const found = keys !== undefined && !readsKeys ? [] : asked.slice(0, maxRows);
    const newest = this.#transactions;
    const end = this.log.at(-1)?.position ?? ("0" as Position);
    await this.#pause();
    const version = versions[Number(target.id)] as CollectionVersion;
    return {
      rows: found.map(([key, row]) => ({
        ...{
          type: "copied",
          kind: kindOf(target.collection, "read"),
          backfill,
          collectionId: target.id,
          lane: "p00",
          key,
          time: "",
        },
        data: bodyOf({ op: "read", key, after: row }),
      })),
      after: (index) => ({ key: found[index]?.[0] }),
      isLast: found.length === asked.length && (found.length < maxRows || random.chance(0.5)),
      ...{ version, readsKeys, notBefore: positionsFrom(end) },
      includes: ({ transaction }) => Number(transaction) <= newest && !hidden.has(transaction),
    };
  }

  async #pause(): Promise<void> {
    for (let left = this.#random.below(this.#random.chance(0.3) ? 30 : 4); left > 0; left--) await turn();
  }

  #row(large: boolean): Row {
    const v = ++this.#v;
    return { v, doc: large ? `doc of ${v}` : "" };
  }

  #change(id: string): void {
    const random = this.#random;
    const collection = random.chance(0.5) ? "docs" : (COLLECTIONS[random.below(COLLECTIONS.length)] as string);
    const rows = this.rows.get(collection) as Map<string, Row>;
    const tell = (body: CopiedBody): void => {
      const position = `${this.log.length + 1}`.padStart(8, "0") as Position;
      const transaction = { id, time: "2026-01-01T00:00:00.000000Z", lineage: undefined };
      const kind = kindOf(collection, body.op);
      const key = body.op === "truncated" ? "" : body.key;
      this.log.push({ type: "change", kind, key, lane: "p00", transaction, position, data: bodyOf(body) });
    };
    /** As the log has it. */
    const logged = (row: Row, isKept: boolean): Pick<CopiedBody, "after" | "unchanged"> =>
      isKept && row.doc !== "" ? { after: { v: row.v }, unchanged: ["doc"] } : { after: row };
    const set = (name: string, becomes: Row | undefined): void => {
      if (becomes === undefined) rows.delete(name);
      else rows.set(name, becomes);
      this.#effects.push({ collection, key: name, row: becomes });
    };
    const key = keyOf(random.below(this.#keys));
    const row = rows.get(key);
    const chance = random.next();
    if (chance < 0.02) {
      rows.clear();
      this.#effects.push({ collection, key: undefined, row: undefined });
      tell({ op: "truncated", key: "", after: null });
    } else if (row === undefined) {
      const made = this.#row(random.chance(0.8));
      set(key, made);
      tell({ op: "created", key, after: made });
    } else if (chance < 0.05 && !this.#plain) {
      // Of a row that nobody can read nothing is told, not even which one it is.
      const broken = { ...row, v: ++this.#v };
      set(key, broken);
      const position = `${this.log.length + 1}`.padStart(8, "0") as Position;
      const transaction = { id, time: "2026-01-01T00:00:00.000000Z", lineage: undefined };
      const poison = {
        raw: Buffer.alloc(0),
        sizeBytes: 0,
        sha256: undefined,
        error: new PoisonError("UNREADABLE", "it is broken"),
      };
      this.log.push({ type: "poison", transaction, namespace: "public", collection, position, ...poison });
      this.unread.set(position, { op: "updated", key, after: broken });
    } else if (chance < 0.15) {
      set(key, undefined);
      tell({ op: "deleted", key, after: null });
    } else if (chance < 0.25) {
      // Between partitions.
      const moved = { ...row, v: ++this.#v };
      set(key, moved);
      tell({ op: "deleted", key, after: null });
      tell({ op: "created", key, after: moved });
    } else if (chance < 0.6) {
      const to = keyOf(random.below(this.#keys));
      if (rows.has(to)) return;
      const moved = { ...row, v: ++this.#v };
      set(key, undefined);
      set(to, moved);
      tell({ op: "deleted", key, after: null, movedTo: to });
      tell({ op: "created", key: to, ...logged(moved, true), movedFrom: key });
    } else {
      const isKept = random.chance(0.7);
      const updated = isKept ? { ...row, v: ++this.#v } : this.#row(random.chance(0.8));
      set(key, updated);
      tell({ op: "updated", key, ...logged(updated, isKept) });
    }
  }
}

function transactionOf(message: SourceMessage): string {
  return ("transaction" in message ? message.transaction?.id : undefined) ?? "";
}

function keyOf(nth: number): string {
  return `a key of some length ${`${nth}`.padStart(3, "0")}`.padEnd(100, ".");
}

function bodyOf(body: CopiedBody): Buffer {
  return Buffer.from(JSON.stringify(body));
}

function kindOf<O extends Op>(
  collection: string,
  op: O,
): { readonly namespace: string; readonly collection: string; readonly op: O; readonly version: CollectionVersion } {
  const version = versions[COLLECTIONS.indexOf(collection)] as CollectionVersion;
  return { namespace: "public", collection, op, version };
}
